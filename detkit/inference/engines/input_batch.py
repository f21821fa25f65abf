"""Batches for engines: their checks, which the libraries lack, and a synthetic batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit.inference.engines.engine import Engine, RawDetections

INPUT_NAMES = ("images", "valid_hw")
OUTPUT_NAMES = ("boxes", "scores", "labels", "counts")


def check_batch(
    images: NDArray[np.uint8], image_hw: NDArray[np.int64], input_hw: tuple[int, int]
) -> None:
    """Check the inputs of an engine for ``input_hw``.

    Raises:
        ValueError: another dtype or shape, or an image that is empty or larger than the input.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*input_hw, 3):
        raise ValueError(f"images: got {images.dtype} of shape {images.shape}, expected uint8 of "
                         f"shape (B, {input_hw[0]}, {input_hw[1]}, 3)")
    if image_hw.dtype != np.int64 or image_hw.shape != (len(images), 2):
        raise ValueError(f"valid_hw: got {image_hw.dtype} of shape {image_hw.shape}, expected "
                         f"int64 of shape ({len(images)}, 2)")
    if len(images) and (image_hw.min() < 1 or (image_hw > input_hw).any()):
        raise ValueError(f"valid_hw: got {image_hw.tolist()}, expected heights and widths from 1 "
                         f"to the input's {input_hw}")


def empty_result(engine: Engine) -> RawDetections:
    """The output for a batch of no images."""
    canvas = np.zeros((1, *engine.input_hw, 3), np.uint8)
    result = engine(canvas, np.array([engine.input_hw], np.int64))
    return RawDetections(result.boxes[:0], result.scores[:0], result.labels[:0], result.counts[:0])


def dummy_batch(input_hw: tuple[int, int],
                batch: int = 2) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Synthetic images (B, H, W, 3) of colored spots and their sizes (B, 2), always the same.

    The spots give the network features to respond to, so that NMS and topk have work to do.
    """
    rng = np.random.default_rng(0)
    height, width = input_hw
    images = np.empty((batch, height, width, 3), np.uint8)
    rows = np.arange(height)[:, None] / height
    columns = np.arange(width)[None, :] / width
    for image in images:
        image[:] = rng.integers(60, 200, 3)
        for _ in range(24):
            center_y, center_x, spot_height, spot_width = rng.random(4) * (1, 1, 0.2, 0.2) + (
                0, 0, 0.02, 0.02)
            spot = ((rows - center_y) / spot_height)**2 + ((columns - center_x) / spot_width)**2 < 1
            image[spot] = rng.integers(0, 256, 3)
    return images, np.tile(np.array(input_hw, np.int64), (batch, 1))
