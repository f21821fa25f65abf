"""Compute the 12 COCO metrics of a results file; needs no model."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from detkit.errors import DataError
from detkit.text import printable

EXAMPLES = """examples:
  detkit evaluate annotations/val.json results.bbox.json
  detkit evaluate annotations/val.json results.bbox.json --classwise --out scores.json
  detkit evaluate annotations/val.json results/detections.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit evaluate``."""
    parser.add_argument("annotations", metavar="ANNOTATIONS", type=Path,
                        help="COCO annotation file (JSON)")
    parser.add_argument("results", metavar="RESULTS", type=Path,
                        help="COCO results: an array of image_id, category_id, bbox, score; or "
                        "detections.json of predict")
    parser.add_argument("--classwise", action="store_true", help="also print the AP of each class")
    parser.add_argument("--out", metavar="FILE", type=Path,
                        help="output JSON file for the unrounded metrics")
    parser.add_argument("--force", action="store_true", help="overwrite the --out file")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the tables, and write the metrics to --out."""
    from detkit.evaluation.detection.coco_eval import evaluate_boxes
    from detkit.evaluation.detection.coco_table import classes_table, scores_table

    if args.out is not None:
        # Before the evaluation, which can take minutes.
        for path in (args.annotations, args.results):
            if args.out.resolve() == path.resolve():
                raise DataError(f"{args.out}: is an input file",
                                hint="choose another file for --out")
        if args.out.is_dir() or (args.out.exists() and not args.force):
            is_folder = args.out.is_dir()
            raise DataError(
                f"{args.out}: {'is a folder' if is_folder else 'already exists'}",
                hint="choose another file for --out"
                + ("" if is_folder else ", or add --force to overwrite it"))
        args.out.parent.mkdir(parents=True, exist_ok=True)
    scores = evaluate_boxes(args.annotations, args.results, hints=True)
    for note in scores.notes:
        print(f"note: {args.annotations}: {printable(note)}", file=sys.stderr)
    for hint in scores.hints:
        print(f"note: {args.results}: {printable(hint)}", file=sys.stderr)
    print(scores_table(scores))
    if args.classwise:
        print("\n" + printable(classes_table(scores), keep="\n"))
    if args.out is not None:
        # 'x' fails if the file was created during the evaluation.
        with args.out.open("w" if args.force else "x", encoding="utf-8") as stream:
            stream.write(json.dumps(scores.as_dict(), indent=2) + "\n")
    return 0
