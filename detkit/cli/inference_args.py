"""Flags of the commands that look with a checkpoint, whether a detector's or a classifier's."""

from __future__ import annotations

import argparse
from pathlib import Path

from detkit.cli.args import positive_int, score

__all__ = ["positive_int"]

DETECTION_THRESHOLD = 0.3
CLASS_THRESHOLD = 0.0
TOP_K = 5


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the positional CHECKPOINT."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path,
                        help="a trained checkpoint of a detector or a classifier, or a folder "
                             "that 'detkit export' wrote")


def add_threshold(parser: argparse.ArgumentParser) -> None:
    """Add ``--threshold``; None when it is not given, since each task has its own default."""
    parser.add_argument(
        "--threshold", metavar="SCORE", type=score,
        help=f"0 to 1; a detector's finds below it are left out (default: {DETECTION_THRESHOLD}), "
             f"a classifier's label below it is called 'unsure' (default: {CLASS_THRESHOLD:g})",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)"
    )
