"""Arguments of ``detkit video``, and the checks that need neither the model nor the source."""

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
MAX_FRAME_PIXELS = 35_651_584  # same as in detkit.video.io.containers
Points = tuple[tuple[float, float], ...]


def add_video_flags(parser: argparse.ArgumentParser) -> None:
    """Add CHECKPOINT, FILE and all flags."""
    # Same as in detkit.video.io.writer and .encoders, which import heavy libraries.
    encoders = ("auto", "libx264", "libvpx-vp9", "mpeg4")
    presets = ("ultrafast", "superfast", "veryfast", "faster", "medium")
    add_checkpoint(parser)
    add_trust_flag(parser)
    parser.add_argument(
        "file", metavar="FILE",
        help="a video file, a folder of images, a camera index, an rtsp:// or http:// URL, or "
             "'sample'",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path,
        help="output video: .mp4, .m4v, .mov or .mkv; must not exist yet",
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path,
        help="output predictions, with or without --out: JSON lines, one object per frame",
    )
    add_threshold(parser)
    parser.add_argument(
        "--window", metavar="N", type=positive_int,
        help="classifiers only: average the probabilities over the last N frames "
             f"(default: {WINDOW}; 1 for no smoothing)",
    )
    parser.add_argument("--track", action="store_true",
                        help="track objects (ByteTrack) and show their track ids")
    parser.add_argument(
        "--count-line", metavar="X1,Y1,X2,Y2", type=line, action="append", default=[],
        help="count tracks that cross this line in each direction, in pixels; repeatable; "
             "implies --track",
    )
    parser.add_argument(
        "--zone", metavar="X1,Y1,X2,Y2,X3,Y3,...", type=polygon, action="append", default=[],
        help="count tracks inside this polygon, in pixels; repeatable; implies --track",
    )
    parser.add_argument(
        "--live", action=argparse.BooleanOptionalAction,
        help="drop old frames when newer ones are waiting, to keep the latency low; files are then "
             "read in real time (default: on for cameras and streams, off for files)",
    )
    parser.add_argument(
        "--target-fps", metavar="FPS", type=positive_float,
        help="try input sizes and numbers of proposals on the first frames, from the most accurate "
             "to the fastest, and use the first that reaches this frame rate",
    )
    add_engine_flags(parser)
    parser.add_argument("--batch", metavar="N", type=positive_int,
                        help="frames per call of the model (default: 1; 4 for classifiers)")
    parser.add_argument("--fps", metavar="FPS", type=frame_rate,
                        help="frame rate of a folder of images (default: 25)")
    parser.add_argument("--encoder", choices=encoders, default=encoders[0],
                        help="video encoder: libx264 (H.264; GPL), libvpx-vp9 (also plays in "
                             "browsers; BSD), mpeg4 (does not play in browsers; LGPL); auto uses "
                             "the first that the installed PyAV has (default: %(default)s)")
    parser.add_argument("--preset", choices=presets,
                        help="libx264 preset; slower ones give smaller files "
                             f"(default: {presets[0]})")
    parser.add_argument("--max-pixels", metavar="N", type=positive_int, default=MAX_FRAME_PIXELS,
                        help="maximum number of pixels of a frame, checked before decoding "
                             "(default: %(default)s, 8192x4352, the maximum of H.264)")
    parser.add_argument("--no-audio", action="store_true", help="do not copy the audio")
    add_device(parser)
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def check_files(args: argparse.Namespace, file: str) -> None:
    """Check that the source exists, and that no file is overwritten by mistake.

    Args:
        args: the parsed arguments.
        file: the video file, folder, camera index or URL.

    Raises:
        VideoError: the first problem.
    """
    from detkit.video.io.encoders import choose_encoder
    from detkit.video.io.source import is_camera, is_url
    from detkit.video.io.writer import check_suffix

    if not (is_camera(file) or is_url(file) or Path(file).exists()):
        raise VideoError(f"{file}: no such file")
    if args.out is None and args.json is None:
        raise VideoError("no output", hint="give a video file with --out, or a JSON lines file "
                         "with --json")
    if args.out is not None:
        check_suffix(args.out)
        encoder = choose_encoder(args.encoder, args.out.suffix)
        if args.preset is not None and not encoder.supports_preset:
            raise VideoError(f"--preset {args.preset}: applies to libx264, and the encoder is "
                             f"{encoder.name}", hint="leave --preset out")
        if args.json is not None and args.json.resolve() == args.out.resolve():
            raise VideoError(f"{args.json}: is also the --out file",
                             hint="choose another file for --json")
    for path in (args.out, args.json):
        if path is None:
            continue
        if not path.exists():
            _check_folder(path)
            continue
        if Path(file).exists() and path.samefile(file):
            raise VideoError(f"{path}: is the input video", hint="choose another output file")
        if not args.force:
            raise VideoError(f"{path}: already exists",
                             hint="choose another file, or add --force to overwrite it")


def _check_folder(path: Path) -> None:
    """Check that the folder of an output file can be created, and is writable.

    Raises:
        VideoError: it is not.
    """
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise VideoError(f"{path}: cannot be written", got=f"{parent}, which is not a folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise VideoError(f"{path}: cannot be written", got=f"no write permission for {parent}")


def line(text: str) -> Points:
    """Two points; a type for argparse."""
    points = _points(text)
    if len(points) != 2:
        raise argparse.ArgumentTypeError(f"got '{text}', expected four numbers: X1,Y1,X2,Y2")
    return points


def polygon(text: str) -> Points:
    """Three or more points; a type for argparse."""
    points = _points(text)
    if len(points) < 3:
        raise argparse.ArgumentTypeError(f"got '{text}', expected three or more corners: "
                                         "X1,Y1,X2,Y2,X3,Y3")
    return points


def frame_rate(text: str) -> Fraction:
    """Frames per second as '25', '29.97' or '30000/1001'; a type for argparse."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not Fraction(1, 1000) <= value <= 1000:
        raise argparse.ArgumentTypeError(f"got '{text}', expected frames per second, such as "
                                         "29.97 or 30000/1001")
    return value


def positive_float(text: str) -> float:
    """A finite number above 0; a type for argparse."""
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
