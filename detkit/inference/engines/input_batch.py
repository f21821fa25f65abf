"""A batch on its way into an engine: checked, since the libraries say too little or nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit.inference.engines.engine import Engine, RawDetections

NAMES_IN = ("images", "valid_hw")
NAMES_OUT = ("boxes", "scores", "labels", "counts")


def check_batch(
    images: NDArray[np.uint8], valid_hw: NDArray[np.int64], canvas_hw: tuple[int, int]
) -> None:
    """Refuse what an engine of ``canvas_hw`` cannot take.

    Raises:
        ValueError: another dtype or shape, or a picture larger than its canvas or empty.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*canvas_hw, 3):
        raise ValueError(f"images: got {images.dtype} of shape {images.shape}, expected uint8 of "
                         f"shape (B, {canvas_hw[0]}, {canvas_hw[1]}, 3)")
    if valid_hw.dtype != np.int64 or valid_hw.shape != (len(images), 2):
        raise ValueError(f"valid_hw: got {valid_hw.dtype} of shape {valid_hw.shape}, expected "
                         f"int64 of shape ({len(images)}, 2)")
    if len(images) and (valid_hw.min() < 1 or (valid_hw > canvas_hw).any()):
        raise ValueError(f"valid_hw: got {valid_hw.tolist()}, expected heights and widths from 1 "
                         f"to the canvas's {canvas_hw}")


def nothing(engine: Engine) -> RawDetections:
    """The answer to a batch of no images."""
    canvas = np.zeros((1, *engine.canvas_hw, 3), np.uint8)
    one = engine(canvas, np.array([engine.canvas_hw], np.int64))
    return RawDetections(one.boxes[:0], one.scores[:0], one.labels[:0], one.counts[:0])


def example(canvas_hw: tuple[int, int], batch: int = 2) -> tuple[NDArray[np.uint8],
                                                                 NDArray[np.int64]]:
    """Canvases (B, H, W, 3) of coloured spots, wholly valid, the same at every call.

    Spots, so that a network has something to see and the parts that choose something to choose.
    """
    random = np.random.default_rng(0)
    height, width = canvas_hw
    images = np.empty((batch, height, width, 3), np.uint8)
    rows = np.arange(height)[:, None] / height
    columns = np.arange(width)[None, :] / width
    for image in images:
        image[:] = random.integers(60, 200, 3)
        for _ in range(24):
            down, right, high, wide = random.random(4) * (1, 1, 0.2, 0.2) + (0, 0, 0.02, 0.02)
            spot = ((rows - down) / high) ** 2 + ((columns - right) / wide) ** 2 < 1
            image[spot] = random.integers(0, 256, 3)
    return images, np.tile(np.array(canvas_hw, np.int64), (batch, 1))
