"""``--target-fps``: settings tried on a video's first frames, through the whole chain."""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.cli.engine_args import MMDET
from detkit.errors import DetkitError, VideoError

if TYPE_CHECKING:
    from detkit.video.fps_tuning import Measured, Setting
    from detkit.video.io.frame import VideoInfo

FRAMES = 64
WARM_UP = 16
GPU_BATCHES = (1, 4)


def choose_for_rate(args: argparse.Namespace, info: VideoInfo) -> None:
    """Set size, proposals and batch in ``args`` so that ``--target-fps`` is met, and say so.

    Where nothing is quick enough the quickest is set, and that is said. What was given by a flag
    is kept.

    Raises:
        DetkitError: a flag that leaves nothing to choose, or the checkpoint cannot be used.
    """
    from detkit.video.fps_tuning import choose

    if args.checkpoint.is_dir():
        raise DetkitError(f"--target-fps: {args.checkpoint} is an exported folder, whose size and "
                          "precision are fixed", do="give the checkpoint that it was made of")
    if args.engine == MMDET:
        raise DetkitError("--target-fps: --engine mmdet leaves nothing to choose",
                          do="leave one of both out")
    choice = choose(_settings(args), args.target_fps,
                    lambda setting: _trial(args, info, setting))
    _set(args, choice.setting)
    if choice.met:
        print(f"--target-fps {args.target_fps:g}: {_said(choice.setting)}, "
              f"{choice.measured.fps:.1f} frames per second on the first ones", file=sys.stderr)
    else:
        print(f"--target-fps {args.target_fps:g} is not reached: {_said(choice.setting)} is the "
              f"quickest, with {choice.measured.fps:.1f}", file=sys.stderr)


def _settings(args: argparse.Namespace) -> list[Setting]:
    from detkit.inference.engines.availability import device_kind
    from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
    from detkit.video.fps_tuning import Setting, settings_for

    graphs = CheckpointGraphs(args.checkpoint)
    own = (graphs.cfg.model.get("test_cfg") or {}).get("rpn")
    proposals = None if own is None else int(own.get("max_per_img", 1000))
    batches = GPU_BATCHES if device_kind(args.device) == "cuda" else (1,)
    if args.batch is not None:
        batches = (args.batch,)
    found = settings_for(max(graphs.rule.scale), graphs.rule.divisor, proposals, batches)
    kept: list[Setting] = []
    for one in found:
        size = one.size if args.size is None else None
        number = one.proposals if args.max_proposals is None else args.max_proposals
        setting = Setting(size, number, one.batch, one.cost)
        if (size, number, one.batch) not in [(k.size, k.proposals, k.batch) for k in kept]:
            kept.append(setting)
    return kept


def _trial(args: argparse.Namespace, info: VideoInfo, setting: Setting) -> Measured:
    """Run the first frames through everything, the file included where one is to be written."""
    from detkit.cli.video_task import task_for
    from detkit.video.fps_tuning import Measured
    from detkit.video.io.first_frames import FirstFrames
    from detkit.video.io.source import open_source
    from detkit.video.io.writer import PRESETS
    from detkit.video.pipeline import run_video
    from detkit.video.run_report import DETECT

    trial = copy.copy(args)
    _set(trial, setting)
    task = task_for(trial, info)
    source = open_source(args.file, args.fps, args.max_pixels)
    came: list[float] = []
    with tempfile.TemporaryDirectory(prefix="detkit-") as folder:
        out = None if args.out is None else Path(folder, f"trial{args.out.suffix}")
        try:
            report = run_video(
                task.look, FirstFrames(source, FRAMES), out, task.draw,
                track=task.track, batch_size=task.batch_size, workers=task.workers, live=False,
                encoder=args.encoder, preset=args.preset or PRESETS[0],
                on_frame=lambda *_: came.append(time.perf_counter()),
            )
        except VideoError as error:
            # Its words on what is kept are of a file that goes with this folder.
            raise error.__cause__ if isinstance(error.__cause__, DetkitError) else error
    first = min(WARM_UP, len(came) // 2)
    taken = came[-1] - came[first]
    # A video of one frame has no rate but that of its whole way.
    fps = (len(came) - 1 - first) / taken if taken > 0 else report.frames_per_second
    means = {name: part.total / part.count for name, part in report.times.stages.items()
             if part.count}
    rest = sum(value for name, value in means.items() if name != DETECT)
    print(f"{_said(setting)}: {fps:.1f} frames per second ({task.engine})", file=sys.stderr)
    return Measured(fps, means.get(DETECT, 0.0), rest)


def _set(args: argparse.Namespace, setting: Setting) -> None:
    if setting.size is not None:
        args.size = setting.size
    args.max_proposals, args.batch = setting.proposals, setting.batch


def _said(setting: Setting) -> str:
    parts = [f"size {setting.size}" if setting.size is not None else "the size given"]
    if setting.proposals is not None:
        parts.append(f"{setting.proposals} proposals")
    parts.append(f"batch {setting.batch}")
    return ", ".join(parts)
