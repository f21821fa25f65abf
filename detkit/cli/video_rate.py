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
    from detkit.video.fps_tuning import TrialConfig, TrialResult
    from detkit.video.io.frame import VideoInfo

FRAMES = 64
WARM_UP = 16
GPU_BATCHES = (1, 4)


def tune_for_fps(args: argparse.Namespace, info: VideoInfo) -> None:
    """Set size, proposals and batch in ``args`` so that ``--target-fps`` is met, and say so.

    Where nothing is quick enough the quickest is set, and that is said. What was given by a flag
    is kept.

    Raises:
        DetkitError: a flag that leaves nothing to choose, or the checkpoint cannot be used.
    """
    from detkit.video.fps_tuning import select_config

    if args.checkpoint.is_dir():
        raise DetkitError(f"--target-fps: {args.checkpoint} is an exported folder, whose size and "
                          "precision are fixed", hint="give the checkpoint that it was made of")
    if args.engine == MMDET:
        raise DetkitError("--target-fps: --engine mmdet leaves nothing to choose",
                          hint="leave one of both out")
    choice = select_config(_trial_configs(args), args.target_fps,
                           lambda config: _run_trial(args, info, config))
    _apply(args, choice.config)
    if choice.target_met:
        print(f"--target-fps {args.target_fps:g}: {_describe(choice.config)}, "
              f"{choice.result.fps:.1f} frames per second on the first ones", file=sys.stderr)
    else:
        print(f"--target-fps {args.target_fps:g} is not reached: {_describe(choice.config)} is the "
              f"quickest, with {choice.result.fps:.1f}", file=sys.stderr)


def _trial_configs(args: argparse.Namespace) -> list[TrialConfig]:
    from detkit.inference.engines.availability import resolve_device_type
    from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
    from detkit.video.fps_tuning import TrialConfig, trial_configs

    graphs = CheckpointGraphs(args.checkpoint)
    rpn_cfg = (graphs.cfg.model.get("test_cfg") or {}).get("rpn")
    proposals = None if rpn_cfg is None else int(rpn_cfg.get("max_per_img", 1000))
    batches = GPU_BATCHES if resolve_device_type(args.device) == "cuda" else (1,)
    if args.batch is not None:
        batches = (args.batch,)
    candidates = trial_configs(max(graphs.resize_spec.scale), graphs.resize_spec.divisor, proposals,
                               batches)
    kept: list[TrialConfig] = []
    for candidate in candidates:
        size = candidate.size if args.size is None else None
        max_proposals = candidate.proposals if args.max_proposals is None else args.max_proposals
        config = TrialConfig(size, max_proposals, candidate.batch, candidate.cost)
        if (size, max_proposals, candidate.batch) not in [(k.size, k.proposals, k.batch)
                                                          for k in kept]:
            kept.append(config)
    return kept


def _run_trial(args: argparse.Namespace, info: VideoInfo, config: TrialConfig) -> TrialResult:
    """Run the first frames through everything, the file included where one is to be written."""
    from detkit.cli.video_task import build_task
    from detkit.video.fps_tuning import TrialResult
    from detkit.video.io.first_frames import FirstFrames
    from detkit.video.io.source import open_source
    from detkit.video.io.writer import PRESETS
    from detkit.video.pipeline import run_video
    from detkit.video.run_report import DETECT

    trial = copy.copy(args)
    _apply(trial, config)
    task = build_task(trial, info)
    source = open_source(args.file, args.fps, args.max_pixels)
    frame_times: list[float] = []
    with tempfile.TemporaryDirectory(prefix="detkit-") as folder:
        out = None if args.out is None else Path(folder, f"trial{args.out.suffix}")
        try:
            report = run_video(
                task.predict, FirstFrames(source, FRAMES), out, task.draw,
                track=task.track, batch_size=task.batch_size, workers=task.workers, live=False,
                encoder=args.encoder, preset=args.preset or PRESETS[0],
                on_frame=lambda *_: frame_times.append(time.perf_counter()),
            )
        except VideoError as error:
            # Its words on what is kept are of a file that goes with this folder.
            raise error.__cause__ if isinstance(error.__cause__, DetkitError) else error
    first = min(WARM_UP, len(frame_times) // 2)
    elapsed = frame_times[-1] - frame_times[first]
    # A video of one frame has no rate but that of its whole way.
    fps = (len(frame_times) - 1 - first) / elapsed if elapsed > 0 else report.fps
    means = {
        name: histogram.total / histogram.count
        for name, histogram in report.times.stages.items()
        if histogram.count
    }
    other_ms = sum(value for name, value in means.items() if name != DETECT)
    print(f"{_describe(config)}: {fps:.1f} frames per second ({task.engine})", file=sys.stderr)
    return TrialResult(fps, means.get(DETECT, 0.0), other_ms)


def _apply(args: argparse.Namespace, config: TrialConfig) -> None:
    if config.size is not None:
        args.size = config.size
    args.max_proposals, args.batch = config.proposals, config.batch


def _describe(config: TrialConfig) -> str:
    parts = [f"size {config.size}" if config.size is not None else "the size given"]
    if config.proposals is not None:
        parts.append(f"{config.proposals} proposals")
    parts.append(f"batch {config.batch}")
    return ", ".join(parts)
