"""Sprites: one object drawn in its pose, shaded, with alpha."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.canvas import Canvas
from detkit.data.synthetic.lighting import FloatImage, directional_gradient, gray_to_rgb
from detkit.data.synthetic.object_shapes import CLASSES, DRAW_FUNCTIONS
from detkit.data.synthetic.rng import KeyedRng

# The ``stream`` of each use of KeyedRng.
STREAM_APPEARANCE, STREAM_IMAGE, STREAM_VIDEO = 1, 2, 8


@dataclass(frozen=True)
class Pose:
    """Position, size and orientation of an object.

    Attributes:
        x, y: center in image pixels, y down.
        size: approximate longer side in pixels.
        angle: degrees clockwise.
        aspect_ratio: factor of width by height.
        mirrored: whether left and right are exchanged.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0
    aspect_ratio: float = 1.0
    mirrored: bool = False

    def matrix(self) -> NDArray[np.float64]:
        """(2, 2), from object units to pixels."""
        angle, root = math.radians(self.angle), math.sqrt(self.aspect_ratio)
        cos, sin = math.cos(angle), math.sin(angle)
        flip = -1.0 if self.mirrored else 1.0
        scaled: NDArray[np.float64] = (
            np.array([[cos, -sin], [sin, cos]]) @ np.diag([flip * root, 1 / root])
            * (self.size / 2))
        return scaled


@dataclass(frozen=True)
class Sprite:
    """A drawn and shaded object, cropped to its extent.

    Attributes:
        left, top: image position of its first pixel; may be outside the image.
        rgb: (h, w, 3) float32 RGB 0..255, multiplied by alpha.
        alpha: (h, w) float32 0..1, the fraction of each pixel that the object covers.
        mask: (h, w) bool, alpha >= 0.5: the pixels of the object.
    """

    left: int
    top: int
    rgb: FloatImage
    alpha: FloatImage
    mask: NDArray[np.bool_]

    def moved_to(self, left: int, top: int) -> Sprite:
        """The same sprite at another position."""
        return replace(self, left=left, top=top)


def draw_sprite(label: int, appearance: tuple[int, int, int, int], pose: Pose,
                light_direction: tuple[float, float]) -> Sprite:
    """Draw one object.

    Args:
        label: index into CLASSES.
        appearance: key of the KeyedRng that determines colors and details.
        pose: position, size and orientation.
        light_direction: (x, y) of length up to 1, towards the light.

    Returns:
        The sprite; its mask has at least one pixel for sizes from 6.
    """
    oversampling = 4 if pose.size < 40 else 3 if pose.size < 80 else 2
    left, top = math.floor(pose.x - pose.size * 0.8) - 2, math.floor(pose.y - pose.size * 0.8) - 2
    side = math.ceil(pose.size * 1.6) + 5
    shift = ((pose.x - left - side / 2) * oversampling, (pose.y - top - side / 2) * oversampling)
    canvas = Canvas(side * oversampling, pose.matrix() * oversampling, shift)
    DRAW_FUNCTIONS[CLASSES[label]](canvas, KeyedRng(*appearance))
    small = cv2.resize(canvas.pixels, (side, side), interpolation=cv2.INTER_AREA)
    x, y, width, height = cv2.boundingRect(small[:, :, 3])
    small = small[y:y + height, x:x + width].astype(np.float32)
    alpha = small[:, :, 3] * np.float32(1 / 255)
    rgb = small[:, :, :3] * gray_to_rgb(_shading(alpha, pose.size, light_direction))
    rgb = np.minimum(rgb, gray_to_rgb(255 * alpha))
    return Sprite(left + x, top + y, rgb, alpha, alpha >= 0.5)


def soft_alpha(alpha: FloatImage, pad: int, kernel: int) -> FloatImage:
    """``alpha`` padded by ``pad`` pixels on each side and blurred twice by a box filter."""
    padded = cv2.copyMakeBorder(alpha, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    blurred: FloatImage = cv2.blur(cv2.blur(padded, (kernel, kernel)), (kernel, kernel))
    return blurred


def _shading(alpha: FloatImage, size: float, light_direction: tuple[float, float]) -> FloatImage:
    """(h, w) float32 around 1: beveled edges, brighter towards the light, darker at the rim."""
    pad = max(2, round(size * 0.05))
    soft = soft_alpha(alpha, pad, pad | 1)
    inner = slice(pad, -pad), slice(pad, -pad)
    slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3)[inner]
    slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)[inner]
    # The rim rises from outside to inside: it faces the light where its slope points away from it.
    bevel = -(slope_x * light_direction[0] + slope_y * light_direction[1]) * (pad * 0.09)
    gradient = directional_gradient(alpha.shape[0], alpha.shape[1], light_direction)
    shade: FloatImage = 0.80 + 0.2 * soft[inner] + bevel + 0.13 * gradient
    return shade
