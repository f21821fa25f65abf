"""Lighting of a synthetic scene, and camera blur and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.rng import KeyedRng

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class Lighting:
    """The lighting of a scene.

    Attributes:
        direction: (x, y) unit vector towards the light; y down.
        gain: factor of the brightness.
        cast: factors of red, green and blue.
        falloff: relative increase of brightness at the edge towards the light.
        blur: standard deviation of the camera's blur in pixels.
        noise: approximate standard deviation of the camera's noise in gray levels.
    """

    direction: tuple[float, float]
    gain: float
    cast: tuple[float, float, float]
    falloff: float
    blur: float
    noise: float


def random_lighting(rng: KeyedRng) -> Lighting:
    """Random lighting from above."""
    angle = math.radians(rng.uniform(200, 340))
    return Lighting(
        direction=(math.cos(angle), math.sin(angle)),
        gain=rng.log_uniform(0.62, 1.2),
        cast=(rng.uniform(0.88, 1.08), rng.uniform(0.94, 1.04), rng.uniform(0.84, 1.08)),
        falloff=rng.uniform(0, 0.35),
        blur=rng.uniform(0.4, 0.9) if rng.bernoulli(0.25) else 0.0,
        noise=rng.uniform(2, 7) if rng.bernoulli(0.5) else 0.0,
    )


def apply_lighting(image: FloatImage, lighting: Lighting,
                   grain: FloatImage | None) -> NDArray[np.uint8]:
    """Apply gain, color cast, falloff, blur and noise.

    Args:
        image: (H, W, 3) float32 RGB, 0..255.
        lighting: lighting and camera.
        grain: (H, W) float32 noise in 0..1, or None.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    gradient = directional_gradient(image.shape[0], image.shape[1], lighting.direction)
    field = np.float32(lighting.gain) * (1 + np.float32(lighting.falloff) * gradient)
    lit = image * cv2.merge([field * np.float32(factor) for factor in lighting.cast])
    if lighting.blur:
        lit = cv2.GaussianBlur(lit, (5, 5), lighting.blur)
    if grain is not None:
        lit += gray_to_rgb((grain - 0.5) * np.float32(3.4 * lighting.noise))
    lit += np.float32(0.5)
    result: NDArray[np.uint8] = np.clip(lit, 0, 255, out=lit).astype(np.uint8)
    return result


def directional_gradient(height: int, width: int, direction: tuple[float, float]) -> FloatImage:
    """(height, width) float32: the position in -1..1 along each axis, times ``direction``."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(direction[0])
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(direction[1])
    gradient: FloatImage = x + y
    return gradient


def gray_to_rgb(plane: FloatImage) -> FloatImage:
    """(H, W) to (H, W, 3) with equal channels."""
    image: FloatImage = cv2.merge([plane, plane, plane])
    return image
