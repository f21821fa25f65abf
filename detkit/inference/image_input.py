"""The images that a predictor accepts, as RGB arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage

from detkit.data.images.read_image import pillow_to_rgb, read_image
from detkit.errors import DataError
from detkit.inference.predictor_protocol import Image, ImageLike

SINGLE_IMAGE_TYPES = (str, Path, np.ndarray, PillowImage.Image, torch.Tensor)
EXPECTED = "a path, a PIL image, an (H, W, 3) uint8 RGB array or a (3, H, W) uint8 RGB tensor"


def load_image_array(image: ImageLike, name: str = "image") -> Image:
    """Load one image as an RGB array.

    Args:
        image: one of
            a path, whose file is read by `read_image`: upright as its EXIF orientation says, gray,
            palette, CMYK and transparent images converted to RGB;
            a PIL image of any mode, converted in the same way;
            an (H, W, 3) uint8 array, RGB;
            a (3, H, W) uint8 tensor, RGB, on any device.
        name: what to call the image in an error message.

    Returns:
        (H, W, 3) uint8 RGB. An array is returned as it is, not copied.

    Raises:
        DataError: another type, dtype or shape, an empty image, or a file that is not a readable
            image.
    """
    if isinstance(image, (str, Path)):
        return read_image(Path(image))
    if isinstance(image, PillowImage.Image):
        _check_not_empty(image.size[::-1], name)
        return pillow_to_rgb(image, name)
    if isinstance(image, torch.Tensor):
        _check_array(str(image.dtype).removeprefix("torch."), tuple(image.shape), 0, name)
        rgb: Image = np.ascontiguousarray(image.detach().cpu().numpy().transpose(1, 2, 0))
        return rgb
    if isinstance(image, np.ndarray):
        _check_array(str(image.dtype), image.shape, 2, name)
        return image
    raise DataError(name, got=type(image).__name__, expected=EXPECTED)


def _check_array(dtype: str, shape: tuple[int, ...], channel_axis: int, name: str) -> None:
    container = "a tensor" if channel_axis == 0 else "an array"
    if dtype != "uint8":
        raise DataError(name, got=f"{container} of {dtype}", expected=EXPECTED)
    if len(shape) != 3 or shape[channel_axis] != 3:
        hint = f"for several images, pass a list of {container.split()[1]}s"
        raise DataError(name, got=f"{container} of shape {shape}", expected=EXPECTED,
                        hint=hint if len(shape) == 4 else None)
    _check_not_empty(shape, name)


def _check_not_empty(shape: tuple[int, ...], name: str) -> None:
    if 0 in shape:
        raise DataError(name, got=f"an empty image of shape {shape}", expected=EXPECTED)
