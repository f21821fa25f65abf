"""Detect objects in a video: writes an h264 video with boxes and labels.

The checkpoint carries its config and classes; nothing else is needed. Every frame that comes in
goes out, in order and with its own time. The last line tells frames per second.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from detkit.cli.flags import score
from detkit.cli.sample_word import sample_path
from detkit.errors import VideoError

if TYPE_CHECKING:
    from detkit.structures.detections import Detections
    from detkit.video.reader import VideoReader

EXAMPLES = """examples:
  detkit video work_dirs/quickstart/best.pth clip.mp4 --out found.mp4
  detkit video work_dirs/quickstart/best.pth clip.mp4 --out found.mp4 --json found.jsonl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``video``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a trained checkpoint")
    parser.add_argument("file", metavar="FILE", type=Path, help="a video file, or 'sample'")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True,
        help="the video to write: .mp4, .m4v, .mov or .mkv; it must not exist yet",
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path,
        help="write what was found, too: one json object a line, one line a frame",
    )
    parser.add_argument(
        "--threshold", metavar="SCORE", type=score, default=0.3,
        help="leave out detections below this score, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(args: argparse.Namespace) -> int:
    """Detect, draw, write, print frames per second."""
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
    if args.json is not None and args.json.resolve() in (args.file.resolve(), args.out.resolve()):
        raise VideoError(f"--json {args.json}: the video itself", do="name another file")

    from detkit.cli.progress import progress
    from detkit.engine.devices import set_threads, use_device
    from detkit.inference.drawing import BoxPainter
    from detkit.inference.predictor import Predictor
    from detkit.video.pipeline import VideoInterrupted, run_video

    set_threads(use_device(args.device))
    predictor = Predictor(args.checkpoint, device=args.device, score_threshold=args.threshold)
    painter = BoxPainter(predictor.classes)
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

        def on_frame(index: int, seconds: float, found: Detections) -> None:
            if lines is not None:
                lines.write(_line(index, seconds, found, predictor.classes))
            step()

        try:
            report = run_video(
                predictor, args.file, args.out, painter,
                force=args.force, on_start=on_start, on_frame=on_frame,
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


def _line(index: int, seconds: float, found: Detections, classes: tuple[str, ...]) -> str:
    from detkit.inference.predict_files import as_records

    record = {
        "frame": index,
        "seconds": round(seconds, 6),
        "detections": list(as_records(found, classes)),
    }
    return json.dumps(record, ensure_ascii=False) + "\n"
