"""Look at images: writes what was found in them, and a drawn picture for each.

A detector's objects go to DIR/detections.json, a classifier's labels to DIR/predictions.json and
DIR/predictions.csv. The checkpoint carries its config and classes; nothing else is needed. Images
that cannot be read are named at the end, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.cli.flags import score
from detkit.cli.sample_word import sample_path
from detkit.cli.whole_number import whole_number
from detkit.errors import DetkitError

if TYPE_CHECKING:
    from detkit.inference.predictor import Predictor
    from detkit.structures.class_scores import ClassScores
    from detkit.structures.detections import Detections

EXAMPLES = """examples:
  detkit predict work_dirs/quickstart/best.pth photo.jpg --out found
  detkit predict work_dirs/quickstart/best.pth photos/ --out found --threshold 0.5 --no-pictures
  detkit predict work_dirs/classify_swin_nano/best.pth photos/ --out labels --top-k 3
"""
DETECTION_THRESHOLD = 0.3
TOP_K = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``predict``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path,
                        help="a trained checkpoint of a detector or a classifier")
    parser.add_argument(
        "images", metavar="IMAGES", nargs="+", type=Path,
        help="image files, folders that are searched with all below them, or 'sample'",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True,
        help="folder for the results; it must be new or empty",
    )
    parser.add_argument(
        "--threshold", metavar="SCORE", type=score,
        help="0 to 1; a detector's finds below it are left out (default: 0.3), a classifier's "
             "label below it is called 'unsure' (default: 0)",
    )
    parser.add_argument(
        "--top-k", metavar="K", type=whole_number,
        help="of a classifier: how many classes are told for each image (default: 5)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)"
    )
    parser.add_argument("--no-pictures", action="store_true", help="draw no pictures")
    parser.add_argument(
        "--force", action="store_true", help="write into a folder that is not empty"
    )


def run(args: argparse.Namespace) -> int:
    """Look, draw, write, print a table; 1 when an image could not be used."""
    from detkit.inference.image_files import find_images

    files = find_images([sample_path(path, "test") for path in args.images])

    from detkit.engine.devices import set_threads, use_device
    from detkit.inference.predictor import CLASSIFICATION, Predictor

    set_threads(use_device(args.device))
    predictor: Predictor[Any] = Predictor(args.checkpoint, device=args.device)
    task = _classify if predictor.task == CLASSIFICATION else _detect
    failed, table = task(args, predictor, files)
    print(table)
    print(f"written to {args.out}")
    if not failed:
        return 0
    print(f"{len(failed)} of {len(files)} images could not be used:", file=sys.stderr)
    for file, reason in failed:
        print(f"  {file}: {reason}", file=sys.stderr)
    return 1


def _detect(
    args: argparse.Namespace, predictor: Predictor[Detections], files: list[Path]
) -> tuple[list[tuple[Path, str]], str]:
    """What failed, and the table of what was found."""
    from detkit.cli.progress import progress
    from detkit.inference.detection_files import counts_table, write_detections
    from detkit.inference.drawing import BoxPainter
    from detkit.inference.out_folder import make_out_folder
    from detkit.inference.predict_files import predict_files

    if args.top_k is not None:
        raise DetkitError(f"--top-k {args.top_k}: {args.checkpoint} holds a detector, and top-k "
                          "is of classifiers", do="leave --top-k out")
    threshold = DETECTION_THRESHOLD if args.threshold is None else args.threshold
    predictor.score_threshold = threshold
    draw = None if args.no_pictures else BoxPainter(predictor.classes)
    make_out_folder(args.out, force=args.force)
    with progress("images", total=len(files)) as step:
        report = predict_files(
            predictor, files, args.out,
            lambda report: write_detections(report, args.out, predictor.classes, threshold),
            draw, on_file=lambda file: step(),
        )
    return report.failed, counts_table(report, predictor.classes)


def _classify(
    args: argparse.Namespace, predictor: Predictor[ClassScores], files: list[Path]
) -> tuple[list[tuple[Path, str]], str]:
    """What failed, and the table of the labels."""
    from detkit.cli.progress import progress
    from detkit.inference.class_drawing import ClassPainter, enlarged
    from detkit.inference.class_files import top_table, write_predictions
    from detkit.inference.out_folder import make_out_folder
    from detkit.inference.predict_files import predict_files

    top_k = min(TOP_K if args.top_k is None else args.top_k, len(predictor.classes))
    threshold = 0.0 if args.threshold is None else args.threshold
    paint = ClassPainter(predictor.classes, top_k, threshold)
    make_out_folder(args.out, force=args.force)
    with progress("images", total=len(files)) as step:
        report = predict_files(
            predictor, files, args.out,
            lambda report: write_predictions(
                report, args.out, predictor.classes, top_k, threshold),
            None if args.no_pictures else lambda image, found: paint(enlarged(image), found),
            on_file=lambda file: step(),
        )
    return report.failed, top_table(report, predictor.classes, top_k, threshold)
