"""Detect objects in images: writes DIR/detections.json and a drawn picture for each image.

The checkpoint carries its config and classes; nothing else is needed. Images that cannot be read
are named at the end, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detkit.cli.flags import score
from detkit.cli.sample_word import sample_path

EXAMPLES = """examples:
  detkit predict work_dirs/quickstart/best.pth photo.jpg --out found
  detkit predict work_dirs/quickstart/best.pth photos/ --out found --threshold 0.5 --no-pictures
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``predict``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="a trained checkpoint")
    parser.add_argument(
        "images", metavar="IMAGES", nargs="+", type=Path,
        help="image files, folders that are searched with all below them, or 'sample'",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True,
        help="folder for the results; it must be new or empty",
    )
    parser.add_argument(
        "--threshold", metavar="SCORE", type=score, default=0.3,
        help="leave out detections below this score, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)"
    )
    parser.add_argument("--no-pictures", action="store_true", help="write the json only")
    parser.add_argument(
        "--force", action="store_true", help="write into a folder that is not empty"
    )


def run(args: argparse.Namespace) -> int:
    """Detect, draw, write, print a table of counts; 1 when an image could not be used."""
    from detkit.inference.image_files import find_images

    files = find_images([sample_path(path, "test") for path in args.images])

    from detkit.cli.progress import progress
    from detkit.engine.devices import set_threads, use_device
    from detkit.inference.drawing import BoxPainter
    from detkit.inference.predict_files import counts_table, make_out_folder, predict_files
    from detkit.inference.predictor import Predictor

    set_threads(use_device(args.device))
    predictor = Predictor(args.checkpoint, device=args.device, score_threshold=args.threshold)
    draw = None if args.no_pictures else BoxPainter(predictor.classes)
    make_out_folder(args.out, force=args.force)
    with progress("images", total=len(files)) as step:
        report = predict_files(predictor, files, args.out, draw, on_file=lambda file: step())
    print(counts_table(report, predictor.classes))
    print(f"written to {args.out}")
    if not report.failed:
        return 0
    print(f"{len(report.failed)} of {len(files)} images could not be used:", file=sys.stderr)
    for file, reason in report.failed:
        print(f"  {file}: {reason}", file=sys.stderr)
    return 1
