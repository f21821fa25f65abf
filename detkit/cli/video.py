"""Run inference on a video: write a video with boxes and labels, and a JSON record per frame.

A checkpoint contains its config and its classes; a folder written by 'detkit export' works as
well. Every frame of a file is processed, in order and with its timestamp. Of a camera or a stream,
frames that the model has no time for are dropped. A classifier's label is smoothed: its
probabilities are averaged over the last frames. A table at the end shows the time of each stage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from detkit.cli.engine_args import MMDET
from detkit.cli.inference_args import CLASS_THRESHOLD, DETECTION_THRESHOLD, TOP_K, check_flags
from detkit.cli.sample_path import SAMPLE, sample_path
from detkit.cli.video_args import WINDOW, add_video_flags, check_files
from detkit.errors import DetkitError
from detkit.text import printable

if TYPE_CHECKING:
    from detkit.video.fps_tuning import TrialConfig, TrialResult
    from detkit.video.io.frame import VideoInfo
    from detkit.video.io.source import Source
    from detkit.video.video_task import VideoTask

EXAMPLES = """examples:
  detkit video work_dirs/quickstart/best.pth clip.mp4 --out detections.mp4
  detkit video work_dirs/quickstart/best.pth clip.mp4 --track --count-line 0,360,1280,360 \\
      --out counts.mp4 --json counts.jsonl
  detkit video work_dirs/quickstart/best.pth clip.mp4 --out fast.mp4 --target-fps 30
  detkit video work_dirs/quickstart/best.pth rtsp://192.0.2.7/stream --json detections.jsonl
  detkit video work_dirs/classify_efficientnet_lite0/best.pth clip.mp4 --out labels.mp4 --window 30
"""
CLASSIFIER_BATCH = 4  # detectors run several batches of one frame in parallel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit video``."""
    add_video_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Run the video through the model and print the table of times."""
    is_sample = args.file == str(SAMPLE)
    file = str(sample_path(SAMPLE, "video.mp4")) if is_sample else args.file
    # Before the slow imports and the loading of the model.
    check_files(args, file)

    from detkit.engine.devices import set_cpu_threads, set_device
    from detkit.video.io.source import open_source

    set_cpu_threads(set_device(args.device))

    def open_video() -> Source:
        return open_source(file, args.fps, args.max_pixels)

    # Closed again, since a stream does not wait until the model is loaded.
    with closing(open_video()) as source:
        info = source.info
    config = None if args.target_fps is None else _tune_for_fps(args, info, open_video)
    task, engine = _build_task(args, info, config)
    return _run_task(args, file, task, engine)


def _build_task(
    args: argparse.Namespace, info: VideoInfo, config: TrialConfig | None
) -> tuple[VideoTask, str]:
    """The task that the checkpoint and the flags ask for, and a line on its engine.

    ``config`` replaces the size, proposals and batch of the flags.

    Raises:
        DetkitError: the checkpoint cannot be loaded, or a flag does not fit its task.
    """
    from detkit.cli.build_predictor import build_predictor
    from detkit.inference.predictor_protocol import CLASSIFICATION
    from detkit.video import video_task

    size, max_proposals, batch = args.size, args.max_proposals, args.batch
    if config is not None:
        size = size if config.size is None else config.size
        max_proposals, batch = config.proposals, config.batch
    predictor = build_predictor(args, info.size_hw, video_task.num_streams(), batch or 1,
                                size=size, max_proposals=max_proposals)
    engine = predictor.summary()
    if predictor.task == CLASSIFICATION:
        check_flags(args, "classifier", {
            "--track": args.track, "--count-line": args.count_line, "--zone": args.zone,
            "--target-fps": args.target_fps is not None,
        })
        threshold = CLASS_THRESHOLD if args.threshold is None else args.threshold
        window = WINDOW if args.window is None else args.window
        return video_task.classification_task(
            predictor, threshold, window, TOP_K, batch or CLASSIFIER_BATCH), engine
    check_flags(args, "detector", {"--window": args.window is not None})
    threshold = DETECTION_THRESHOLD if args.threshold is None else args.threshold
    if args.track or args.count_line or args.zone:
        return video_task.tracking_task(
            predictor, info, threshold, batch or 1, args.count_line, args.zone), engine
    return video_task.detection_task(predictor, info, threshold, batch or 1), engine


def _tune_for_fps(
    args: argparse.Namespace, info: VideoInfo, open_video: Callable[[], Source]
) -> TrialConfig:
    """Find the most accurate config that reaches ``--target-fps``, and report it on stderr.

    Raises:
        DetkitError: nothing can be varied, or the checkpoint cannot be used.
    """
    if args.checkpoint.is_dir():
        raise DetkitError(f"--target-fps: {args.checkpoint} is an exported folder, whose size and "
                          "precision are fixed", hint="use the checkpoint that it was exported "
                          "from")
    if args.engine == MMDET:
        raise DetkitError("--target-fps: there is nothing to vary with --engine mmdet",
                          hint="leave out one of the two flags")
    from detkit.video.fps_trials import configs_for_checkpoint, run_trial
    from detkit.video.fps_tuning import select_config
    from detkit.video.io.writer import PRESETS

    def trial(config: TrialConfig) -> TrialResult:
        task, engine = _build_task(args, info, config)
        suffix = None if args.out is None else args.out.suffix
        result = run_trial(task, open_video(), suffix, args.encoder, args.preset or PRESETS[0])
        print(f"{config.summary()}: {result.fps:.1f} frames per second ({engine})",
              file=sys.stderr)
        return result

    configs = configs_for_checkpoint(
        args.checkpoint, args.device, size=args.size, max_proposals=args.max_proposals,
        batch=args.batch)
    choice = select_config(configs, args.target_fps, trial)
    if choice.target_met:
        print(f"--target-fps {args.target_fps:g}: {choice.config.summary()}, "
              f"{choice.result.fps:.1f} frames per second on the first frames", file=sys.stderr)
    else:
        print(f"--target-fps {args.target_fps:g} is not reached: {choice.config.summary()} is the "
              f"fastest, with {choice.result.fps:.1f}", file=sys.stderr)
    return choice.config


def _run_task(args: argparse.Namespace, file: str, task: VideoTask, engine: str) -> int:
    """Run the pipeline, write the JSON records, and print the tables."""
    from detkit.cli.progress import progress
    from detkit.tables import format_table
    from detkit.video.io.json_lines import JsonLinesWriter
    from detkit.video.io.writer import PRESETS
    from detkit.video.pipeline import VideoInterrupted, run_video

    with ExitStack() as stack:
        json_lines = None if args.json is None else stack.enter_context(
            closing(JsonLinesWriter(args.json)))
        step: Callable[[], None] = _no_progress

        def on_start(source: Source) -> None:
            nonlocal step
            step = stack.enter_context(progress("frames", total=source.info.frame_count))
            if source.info.has_audio and source.audio is None and args.out is not None:
                print(f"{file}: its audio is not copied", file=sys.stderr)

        def on_frame(index: int, timestamp_s: float, prediction: Any) -> None:
            if json_lines is not None:
                json_lines.add({
                    "frame": index, "seconds": round(timestamp_s, 6), **task.to_record(prediction)
                })
            step()

        try:
            report = run_video(
                task.predict, file, args.out, task.draw, track=task.track,
                batch_size=task.batch_size, workers=task.workers, live=args.live, fps=args.fps,
                encoder=args.encoder, preset=args.preset or PRESETS[0],
                audio=not args.no_audio, force=args.force, max_pixels=args.max_pixels,
                on_start=on_start, on_frame=on_frame,
            )
        except VideoInterrupted as stop:
            stack.close()
            print(printable(str(stop)), file=sys.stderr)
            raise stop.__cause__ or stop  # the exit code depends on the signal
    for note in report.notes:
        print(printable(note), file=sys.stderr)
    for path in (report.out, args.json):
        if path is not None:
            print(f"written to {path}")
    print(report.table())
    print(format_table([("engine", engine), *task.summary_rows()], "ll"))
    return 0


def _no_progress() -> None:
    """Show no progress."""
