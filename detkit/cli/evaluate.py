"""Measure any COCO results file against its annotation file: the 12 numbers, without any model."""

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
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument("annotations", metavar="ANNOTATIONS", type=Path,
                        help="COCO annotation file (JSON)")
    parser.add_argument("results", metavar="RESULTS", type=Path,
                        help="COCO results file: an array of image_id, category_id, bbox, score")
    parser.add_argument("--classwise", action="store_true", help="show the AP of each class too")
    parser.add_argument("--out", metavar="FILE", type=Path,
                        help="write all numbers, unrounded, to this JSON file")
    parser.add_argument("--force", action="store_true", help="replace the --out file if it exists")


def run(args: argparse.Namespace) -> int:
    """Print the tables, write the file; 0 when done."""
    from detkit.evaluation.detection.coco_eval import evaluate_boxes
    from detkit.evaluation.detection.coco_table import classes_table, scores_table

    if args.out is not None:
        # Before the work, which can take minutes.
        for path in (args.annotations, args.results):
            if args.out.resolve() == path.resolve():
                raise DataError(f"{args.out}: is a file to read", hint="give --out another name")
        if args.out.is_dir() or (args.out.exists() and not args.force):
            raise DataError(
                f"{args.out}: there is such a {'folder' if args.out.is_dir() else 'file'} already",
                hint="give --out another name" + ("" if args.out.is_dir() else ", or add --force"))
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
        # 'x' fails on a file that came while we measured.
        with args.out.open("w" if args.force else "x", encoding="utf-8") as stream:
            stream.write(json.dumps(scores.as_dict(), indent=2) + "\n")
    return 0
