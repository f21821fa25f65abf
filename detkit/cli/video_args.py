"""The words of ``video``, and what can be seen to be wrong with them before anything is loaded."""

from __future__ import annotations

import argparse
import os
from fractions import Fraction
from pathlib import Path

from detkit.cli.args import add_trust_flag
from detkit.cli.engine_args import add_engine_flags
from detkit.cli.inference_args import add_checkpoint, add_device, add_threshold, positive_int
from detkit.errors import VideoError

WINDOW = 15
MAX_FRAME_PIXELS = 35_651_584  # as detkit.video.io.containers has it
Points = tuple[tuple[float, float], ...]


def add_video_flags(parser: argparse.ArgumentParser) -> None:
    """Add CHECKPOINT, FILE and every flag."""
    # As detkit.video.io.writer and .encoders have them, which would bring their heavy libraries.
    encoders = ("auto", "libx264", "libvpx-vp9", "mpeg4")
    presets = ("ultrafast", "superfast", "veryfast", "faster", "medium")
    add_checkpoint(parser)
    add_trust_flag(parser)
    parser.add_argument(
        "file", metavar="FILE",
        help="a video file, a folder of pictures, a camera's number, an rtsp:// or http:// "
             "address, or 'sample'",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path,
        help="the video to write: .mp4, .m4v, .mov or .mkv; it must not exist yet",
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path,
        help="write what was found, too, or only that: one json object a line, one line a frame",
    )
    add_threshold(parser)
    parser.add_argument(
        "--window", metavar="N", type=positive_int,
        help="of a classifier: its probabilities are the mean over the last N frames "
             f"(default: {WINDOW}; 1 smooths nothing)",
    )
    parser.add_argument("--track", action="store_true",
                        help="follow each object from frame to frame, and number it")
    parser.add_argument(
        "--count-line", metavar="X1,Y1,X2,Y2", type=line, action="append", default=[],
        help="count the tracks that cross this line, in pixels, each way; may be given more than "
             "once, and stands for --track, too",
    )
    parser.add_argument(
        "--zone", metavar="X1,Y1,X2,Y2,X3,Y3,...", type=polygon, action="append", default=[],
        help="count the tracks inside these corners; may be given more than once, and stands for "
             "--track, too",
    )
    parser.add_argument(
        "--live", action=argparse.BooleanOptionalAction,
        help="leave out old frames where newer ones wait, so that what is shown is never late; "
             "a file is then read at its own pace (default: for cameras and streams, not for "
             "files)",
    )
    parser.add_argument(
        "--target-fps", metavar="FPS", type=positive_float,
        help="try sizes and numbers of proposals on the first frames, the most accurate first, and "
             "take the first that reaches so many frames per second",
    )
    add_engine_flags(parser)
    parser.add_argument("--batch", metavar="N", type=positive_int,
                        help="so many frames go through the model at once (default: 1; of a "
                             "classifier 4)")
    parser.add_argument("--fps", metavar="FPS", type=frame_rate,
                        help="of a folder of pictures (default: 25)")
    parser.add_argument("--encoder", choices=encoders, default=encoders[0],
                        help="what writes the video: libx264 (h264; GPL), libvpx-vp9 (plays in "
                             "browsers too; BSD), mpeg4 (plays in players, not in browsers; LGPL); "
                             "auto is the first of them that the installed PyAV has "
                             "(default: %(default)s)")
    parser.add_argument("--preset", choices=presets,
                        help="of libx264; a later one makes smaller files in more time "
                             f"(default: {presets[0]})")
    parser.add_argument("--max-pixels", metavar="N", type=positive_int, default=MAX_FRAME_PIXELS,
                        help="refuse frames of more pixels, before they take memory (default: "
                             "%(default)s, 8192x4352, the largest of h264)")
    parser.add_argument("--no-audio", action="store_true", help="leave a file's sound out")
    add_device(parser)
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def check_files(args: argparse.Namespace) -> None:
    """See that what is to be written harms nothing, and that the source can be there.

    Raises:
        VideoError: one line on the first thing that is wrong.
    """
    from detkit.video.io.encoders import choose_encoder
    from detkit.video.io.source import is_camera, is_url
    from detkit.video.io.writer import check_suffix

    if not (is_camera(args.file) or is_url(args.file) or Path(args.file).exists()):
        raise VideoError(f"{args.file}: no such file")
    if args.out is None and args.json is None:
        raise VideoError("nothing would be written", hint="name a video with --out, or a file with "
                         "--json")
    if args.out is not None:
        check_suffix(args.out)
        encoder = choose_encoder(args.encoder, args.out.suffix)
        if args.preset is not None and not encoder.supports_preset:
            raise VideoError(f"--preset {args.preset}: is of libx264, and {encoder.name} writes "
                             "the video", hint="leave --preset out")
        if args.json is not None and args.json.resolve() == args.out.resolve():
            raise VideoError(f"{args.json}: is the --out file, too", hint="name another --json")
    for path in (args.out, args.json):
        if path is None:
            continue
        if not path.exists():
            _check_folder(path)
            continue
        if Path(args.file).exists() and path.samefile(args.file):
            raise VideoError(f"{path}: is the video to read", hint="name another file to write")
        if not args.force:
            raise VideoError(f"{path}: exists, and nothing is overwritten unasked",
                             hint="name another, or add --force")


def _check_folder(path: Path) -> None:
    """Refuse a file whose folder neither takes files nor can be made."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise VideoError(f"{path}: cannot be written", got=f"{parent}, which is no folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise VideoError(f"{path}: cannot be written", got=f"no right to write in {parent}")


def line(text: str) -> Points:
    """Two points, for argparse."""
    points = _points(text)
    if len(points) != 2:
        raise argparse.ArgumentTypeError(f"got '{text}', expected four numbers: X1,Y1,X2,Y2")
    return points


def polygon(text: str) -> Points:
    """Three points or more, for argparse."""
    points = _points(text)
    if len(points) < 3:
        raise argparse.ArgumentTypeError(f"got '{text}', expected three corners or more: "
                                         "X1,Y1,X2,Y2,X3,Y3")
    return points


def frame_rate(text: str) -> Fraction:
    """Frames per second, for argparse: '25', '29.97' or '30000/1001'."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not Fraction(1, 1000) <= value <= 1000:
        raise argparse.ArgumentTypeError(f"got '{text}', expected frames per second, as 29.97 or "
                                         "30000/1001")
    return value


def positive_float(text: str) -> float:
    """A number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"got '{text}', expected a number above 0")
    return value


def _points(text: str) -> Points:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [0.0]
    if len(numbers) % 2:
        raise argparse.ArgumentTypeError(f"got '{text}', expected pairs of numbers: X,Y,X,Y")
    return tuple(zip(numbers[::2], numbers[1::2]))
