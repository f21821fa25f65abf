"""The limit of pixels of an image file: one value for a process and its child processes."""

from __future__ import annotations

import os

from detkit.errors import ConfigError

# An environment variable, so that data loading processes have it, however they are started.
MAX_PIXELS_ENV = "DETKIT_MAX_PIXELS"
MAX_PIXELS_FLAG = "--max-pixels"
# 1.5 times the largest cameras, which are phones with 200 megapixels; Pillow's limit of 179 is
# below those. Decoding takes 10 to 20 bytes per pixel.
DEFAULT_MAX_PIXELS = 300_000_000


def max_pixels() -> int:
    """The largest number of pixels of an image file that is decoded.

    Raises:
        ConfigError: the environment variable is not a positive integer.
    """
    text = os.environ.get(MAX_PIXELS_ENV)
    if text is None:
        return DEFAULT_MAX_PIXELS
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) > 0):
        raise ConfigError(MAX_PIXELS_ENV, got=f"'{text}'",
                          expected=f"a positive integer of pixels, such as {DEFAULT_MAX_PIXELS}")
    return int(text)
