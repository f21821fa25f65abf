"""How many pixels an image file may have: one number for a process and those that it starts."""

from __future__ import annotations

import os

from detkit.errors import ConfigError

# Of the environment, so that processes that load data know it however they are started.
VARIABLE = "DETKIT_MAX_PIXELS"
FLAG = "--max-pixels"
# Half as many again as the largest cameras give, phones of 200 megapixels; Pillow's own limit of
# 179 is below those. Decoding takes 10 to 20 bytes a pixel, by the kind of image.
DEFAULT = 300_000_000


def max_pixels() -> int:
    """The most pixels that an image file may have to be decoded.

    Raises:
        ConfigError: the environment names no such number.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) > 0):
        raise ConfigError(VARIABLE, got=f"'{text}'",
                          expected=f"a whole number of pixels, as {DEFAULT}")
    return int(text)
