"""From a thing's class, pose and seed to its picture with alpha: a sprite."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.canvas import Canvas
from detkit.data.synthetic.object_shapes import CLASSES, DRAW_FUNCTIONS
from detkit.data.synthetic.rng import KeyedRng

# Rooms of chance, one for each use of a seed.
STREAM_APPEARANCE, STREAM_IMAGE, STREAM_VIDEO = 1, 2, 8


@dataclass(frozen=True)
class Pose:
    """Where and how a thing stands.

    Attributes:
        x, y: the middle, pixels of the picture, y down.
        size: about the longer side, pixels.
        angle: degrees clockwise.
        aspect_ratio: width by height, 1 for as drawn.
        mirrored: left and right exchanged.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0
    aspect_ratio: float = 1.0
    mirrored: bool = False

    def matrix(self) -> NDArray[np.float64]:
        """(2, 2), from the thing's units to pixels."""
        angle, root = math.radians(self.angle), math.sqrt(self.aspect_ratio)
        rotation = np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], np.float64
        )
        flip = -1.0 if self.mirrored else 1.0
        scaled: NDArray[np.float64] = rotation @ np.diag([flip * root, 1 / root]) * (self.size / 2)
        return scaled


@dataclass(frozen=True)
class Sprite:
    """A thing drawn and shaded, cut to its extent.

    Attributes:
        left, top: where its first pixel falls in the picture; may lie outside.
        rgb: (h, w, 3) float32 RGB 0..255, multiplied by alpha.
        alpha: (h, w) float32 0..1, the share of each pixel that the thing covers.
        mask: (h, w) bool, alpha >= 0.5: the pixels that count as the thing.
    """

    left: int
    top: int
    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32]
    mask: NDArray[np.bool_]

    def shifted(self, dx: int, dy: int) -> Sprite:
        """The same thing whole pixels further right and down."""
        return Sprite(self.left + dx, self.top + dy, self.rgb, self.alpha, self.mask)


def draw_sprite(label: int, appearance: tuple[int, int, int, int], pose: Pose,
                light_direction: tuple[float, float]) -> Sprite:
    """Draw one thing.

    Args:
        label: index into CLASSES.
        appearance: the key of the KeyedRng that decide colors and details; same key, same
            appearance.
        pose: where it stands.
        light_direction: (x, y) of length up to 1, where the light comes from.

    Returns:
        The sprite; its mask holds at least one pixel for sizes of 6 and more.
    """
    oversampling = 4 if pose.size < 40 else 3 if pose.size < 80 else 2
    left, top = math.floor(pose.x - pose.size * 0.8) - 2, math.floor(pose.y - pose.size * 0.8) - 2
    side = math.ceil(pose.size * 1.6) + 5
    shift = ((pose.x - left - side / 2) * oversampling, (pose.y - top - side / 2) * oversampling)
    canvas = Canvas(side * oversampling, pose.matrix() * oversampling, shift)
    DRAW_FUNCTIONS[CLASSES[label]](canvas, KeyedRng(*appearance))
    small = cv2.resize(canvas.pixels, (side, side), interpolation=cv2.INTER_AREA)
    x, y, width, height = cv2.boundingRect(small[:, :, 3])
    small = small[y : y + height, x : x + width]
    alpha = small[:, :, 3].astype(np.float32) * np.float32(1 / 255)
    shade = _shading(alpha, pose.size, light_direction)
    rgb = small[:, :, :3].astype(np.float32) * cv2.merge([shade, shade, shade])
    full = 255 * alpha
    rgb = np.minimum(rgb, cv2.merge([full, full, full]))
    return Sprite(left + x, top + y, rgb, alpha, alpha >= 0.5)


def _shading(
    alpha: NDArray[np.float32], size: float, light_direction: tuple[float, float]
) -> NDArray[np.float32]:
    """(h, w) float32 around 1: rounded edges, bright towards the light, dark at the rim."""
    height, width = alpha.shape
    pad = max(2, round(size * 0.05))
    solid = cv2.copyMakeBorder(alpha, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.blur(cv2.blur(solid, (pad | 1, pad | 1)), (pad | 1, pad | 1))
    slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3)[pad:-pad, pad:-pad]
    slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)[pad:-pad, pad:-pad]
    # The rim rises from outside to inside: its slope faces the light where it points away from it.
    bevel = -(slope_x * light_direction[0] + slope_y * light_direction[1]) * (pad * 0.09)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(light_direction[0])
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(light_direction[1])
    shade: NDArray[np.float32] = (
        0.80 + 0.2 * soft[pad:-pad, pad:-pad] + bevel + 0.13 * (x + y)
    )
    return shade
