"""Look at a video: writes an h264 video with boxes and labels, or with the label of each frame.

A classifier's label is smoothed: the mean of its probabilities over the last frames. The
checkpoint carries its config and classes; nothing else is needed. Every frame that comes in goes
out, in order and with its own time. The last line tells frames per second.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from detkit.cli.look_flags import (
    CLASS_THRESHOLD,
    DETECTION_THRESHOLD,
    TOP_K,
    add_checkpoint,
    add_device,
    add_threshold,
    whole_number,
)
from detkit.cli.sample_word import sample_path
from detkit.errors import DetkitError, VideoError

if TYPE_CHECKING:
    from detkit.inference.predict_files import Draw, Look
    from detkit.inference.predictor import Predictor
    from detkit.structures.class_scores import ClassScores
    from detkit.structures.detections import Detections
    from detkit.video.reader import VideoReader
    from detkit.video.score_window import FrameScores

EXAMPLES = """examples:
  detkit video work_dirs/quickstart/best.pth clip.mp4 --out found.mp4
  detkit video work_dirs/quickstart/best.pth clip.mp4 --out found.mp4 --json found.jsonl
  detkit video work_dirs/classify_swin_nano/best.pth clip.mp4 --out named.mp4 --window 30
"""
WINDOW = 15
BATCH_SIZE = 4  # of a classifier's frames; a detector's fill the machine one by one

Answer = TypeVar("Answer")
Say = Callable[[Answer], dict[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``video``."""
    add_checkpoint(parser)
    parser.add_argument("file", metavar="FILE", type=Path, help="a video file, or 'sample'")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True,
        help="the video to write: .mp4, .m4v, .mov or .mkv; it must not exist yet",
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path,
        help="write what was found, too: one json object a line, one line a frame",
    )
    add_threshold(parser)
    parser.add_argument(
        "--window", metavar="N", type=whole_number,
        help="of a classifier: its probabilities are the mean over the last N frames "
             f"(default: {WINDOW}; 1 smooths nothing)",
    )
    add_device(parser)
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> int:
    """Look, draw, write, print frames per second."""
    from detkit.video.writer import check_suffix

    # Before the slow imports, and before a model is loaded: what can be seen now to be wrong.
    args.file = sample_path(args.file, "video.mp4")
    if not args.file.exists():
        raise VideoError(f"{args.file}: no such file")
    check_suffix(args.out)
    if args.json is not None and args.json.resolve() == args.out.resolve():
        raise VideoError(f"{args.json}: is the --out file, too", do="name another --json")
    for path in (args.out, args.json):
        if path is not None and path.exists() and path.samefile(args.file):
            raise VideoError(f"{path}: is the video to read", do="name another file to write")
        if path is not None and path.exists() and not args.force:
            raise VideoError(
                f"{path}: exists, and nothing is overwritten unasked",
                do="name another, or add --force",
            )

    from detkit.engine.devices import set_threads, use_device
    from detkit.inference.predictor import CLASSIFICATION, Predictor

    set_threads(use_device(args.device))
    predictor: Predictor[Any] = Predictor(args.checkpoint, device=args.device)
    if predictor.task == CLASSIFICATION:
        return _go_through(args, *_classifier(args, predictor), batch_size=BATCH_SIZE)
    return _go_through(args, *_detector(args, predictor), batch_size=1)


def _go_through(
    args: argparse.Namespace, look: Look[Answer], draw: Draw[Answer], say: Say[Answer],
    batch_size: int,
) -> int:
    """Run the video, with what is said of each frame in the json file; print the sums."""
    from detkit.cli.progress import progress
    from detkit.video.pipeline import VideoInterrupted, run_video

    with ExitStack() as stack:
        lines: TextIO | None = None
        if args.json is not None:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            lines = stack.enter_context(args.json.open("w", buffering=1, encoding="utf-8"))
        step: Callable[[], None] = _nothing

        def on_start(reader: VideoReader) -> None:
            nonlocal step
            step = stack.enter_context(progress("frames", total=reader.info.frame_count))
            if reader.info.has_sound:
                print(f"{args.file}: its sound is left out", file=sys.stderr)

        def on_frame(index: int, seconds: float, found: Answer) -> None:
            if lines is not None:
                record = {"frame": index, "seconds": round(seconds, 6), **say(found)}
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            step()

        try:
            report = run_video(
                look, args.file, args.out, draw,
                batch_size=batch_size, force=args.force, on_start=on_start, on_frame=on_frame,
            )
        except VideoInterrupted as stop:
            stack.close()
            print(stop, file=sys.stderr)
            raise
    print(f"written to {report.out}")
    print(
        f"{report.frames_in} frames in, {report.frames_out} frames out, {report.seconds:.1f} s, "
        f"{report.frames_per_second:.1f} frames per second"
    )
    return 0


def _nothing() -> None:
    """No progress to show."""


def _detector(
    args: argparse.Namespace, predictor: Predictor[Detections]
) -> tuple[Look[Detections], Draw[Detections], Say[Detections]]:
    """How to look at frames, to draw what was found, and to say it in json."""
    from detkit.inference.detection_files import as_records
    from detkit.inference.drawing import BoxPainter

    if args.window is not None:
        raise DetkitError(f"--window {args.window}: {args.checkpoint} holds a detector, and only "
                          "a classifier's labels are smoothed", do="leave --window out")
    predictor.score_threshold = DETECTION_THRESHOLD if args.threshold is None else args.threshold

    def say(found: Detections) -> dict[str, Any]:
        return {"detections": list(as_records(found, predictor.classes))}

    return predictor, BoxPainter(predictor.classes), say


def _classifier(
    args: argparse.Namespace, predictor: Predictor[ClassScores]
) -> tuple[Look[FrameScores], Draw[FrameScores], Say[FrameScores]]:
    """How to look at frames, to draw the smoothed label, and to say both in json."""
    from detkit.inference.class_drawing import ClassPainter
    from detkit.inference.class_files import as_records, is_sure
    from detkit.video.score_window import ScoreWindow

    window = ScoreWindow(WINDOW if args.window is None else args.window)
    threshold = CLASS_THRESHOLD if args.threshold is None else args.threshold
    paint = ClassPainter(predictor.classes, threshold=threshold)

    def say(found: FrameScores) -> dict[str, Any]:
        best, = as_records(found.smoothed, predictor.classes, 1)
        return {
            "top": as_records(found.raw, predictor.classes, TOP_K),
            "smoothed": {**best, "sure": is_sure(found.smoothed, threshold)},
        }

    return (
        lambda images: [window.add(scores) for scores in predictor(images)],
        lambda image, found: paint(image, found.smoothed),
        say,
    )
