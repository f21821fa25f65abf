"""Flags of the commands that run inference with a checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from detkit.cli.args import positive_int, score
from detkit.errors import DetkitError

__all__ = ["positive_int"]

DETECTION_THRESHOLD = 0.3
CLASS_THRESHOLD = 0.0
TOP_K = 5


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the positional CHECKPOINT."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path,
                        help="checkpoint of a detector or a classifier, or a folder written by "
                             "'detkit export'")


def add_threshold(parser: argparse.ArgumentParser) -> None:
    """Add ``--threshold``; None if not given, since each task has its own default."""
    parser.add_argument(
        "--threshold", metavar="SCORE", type=score,
        help=f"score threshold, 0 to 1: detections below it are left out (default: "
             f"{DETECTION_THRESHOLD}); a classifier's label below it is reported as 'unsure' "
             f"(default: {CLASS_THRESHOLD:g})",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: %(default)s)"
    )


def check_flags(args: argparse.Namespace, model: str, given: Mapping[str, bool]) -> None:
    """Check that no flag is given that does not apply to a model.

    Args:
        args: with the checkpoint.
        model: 'detector' or 'classifier'.
        given: whether each flag, of those that do not apply, is given.

    Raises:
        DetkitError: one is.
    """
    for flag, is_given in given.items():
        if is_given:
            raise DetkitError(f"{flag}: does not apply to {args.checkpoint}, which is a {model}",
                              hint=f"leave {flag} out")
