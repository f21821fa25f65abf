"""A count on the command line."""

from __future__ import annotations

import argparse


def whole_number(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a whole number, at least 1")
    return value
