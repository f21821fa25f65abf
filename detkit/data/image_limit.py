"""How many pixels an image file may have: one number for a process and those that it starts."""

from __future__ import annotations

import math
import os

from detkit.errors import ConfigError

# Of the environment, so that processes that load data know it however they are started.
VARIABLE = "DETKIT_MAX_PIXELS"
FLAG = "--max-pixels"
# Half as much again as the largest cameras have, phones of 200 megapixels; Pillow's own limit of
# 179 is below those. Reading one takes at most about 20 bytes a pixel: 6 GB.
DEFAULT = 300.0
MEGA = 1_000_000


def max_pixels() -> int:
    """The most pixels that an image file may have to be decoded.

    Raises:
        ConfigError: the environment names no such number.
    """
    text = os.environ.get(VARIABLE, "")
    return int(MEGA * (megapixels(text) if text else DEFAULT))


def megapixels(text: str) -> float:
    """The number that a limit is written as, in megapixels.

    Raises:
        ConfigError: it is no number above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e9:  # false for nan, too
        raise ConfigError(f"{VARIABLE} and {FLAG}", got=f"'{text}'",
                          expected="a number of megapixels above 0, such as 500")
    return value
