"""How many pixels an image file may have: one number for a process and those that it starts."""

from __future__ import annotations

import os

from detkit.errors import ConfigError

# Of the environment, so that processes that load data know it however they are started.
MAX_PIXELS_ENV = "DETKIT_MAX_PIXELS"
MAX_PIXELS_FLAG = "--max-pixels"
# Half as many again as the largest cameras give, phones of 200 megapixels; Pillow's own limit of
# 179 is below those. Decoding takes 10 to 20 bytes a pixel, by the kind of image.
DEFAULT_MAX_PIXELS = 300_000_000


def max_pixels() -> int:
    """The most pixels that an image file may have to be decoded.

    Raises:
        ConfigError: the environment names no such number.
    """
    text = os.environ.get(MAX_PIXELS_ENV)
    if text is None:
        return DEFAULT_MAX_PIXELS
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) > 0):
        raise ConfigError(MAX_PIXELS_ENV, got=f"'{text}'",
                          expected=f"a whole number of pixels, as {DEFAULT_MAX_PIXELS}")
    return int(text)
