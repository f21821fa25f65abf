"""The light of a drawn scene, and what the camera makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.rng import KeyedRng
from detkit.data.synthetic.textures import FloatImage, gray_to_rgb


@dataclass(frozen=True)
class Lighting:
    """The light of a scene: all of it thrown once, so that a video keeps it.

    Attributes:
        direction: (x, y) of length 1, where the light comes from; y down.
        gain: of all brightness, 1 for none.
        cast: the gain of red, green and blue.
        falloff: how much brighter it is at the edge towards the light, 0 for even.
        blur: of the camera, standard deviation in pixels.
        noise: of the camera, about the standard deviation in gray levels.
    """

    direction: tuple[float, float]
    gain: float
    cast: tuple[float, float, float]
    falloff: float
    blur: float
    noise: float


def random_lighting(rng: KeyedRng) -> Lighting:
    """A light: direction, gain, color cast, fall-off, and the camera's blur and noise."""
    angle = math.radians(rng.uniform(200, 340))
    return Lighting(
        direction=(math.cos(angle), math.sin(angle)),
        gain=rng.log_uniform(0.62, 1.2),
        cast=(rng.uniform(0.88, 1.08), rng.uniform(0.94, 1.04), rng.uniform(0.84, 1.08)),
        falloff=rng.uniform(0, 0.35),
        blur=rng.uniform(0.4, 0.9) if rng.bernoulli(0.25) else 0.0,
        noise=rng.uniform(2, 7) if rng.bernoulli(0.5) else 0.0,
    )


def apply_lighting(scene_image: FloatImage, lighting: Lighting,
                   grain: FloatImage | None) -> NDArray[np.uint8]:
    """What the camera makes of it: gain, cast, fall-off of the light, blur, noise; uint8."""
    height, width = scene_image.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(lighting.direction[0])
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(lighting.direction[1])
    field = np.float32(lighting.gain) * (1 + np.float32(lighting.falloff) * (x + y))
    lit = scene_image * cv2.merge([field * np.float32(share) for share in lighting.cast])
    if lighting.blur:
        lit = cv2.GaussianBlur(lit, (5, 5), lighting.blur)
    if grain is not None:
        lit += gray_to_rgb((grain - 0.5) * np.float32(3.4 * lighting.noise))
    lit += np.float32(0.5)
    image: NDArray[np.uint8] = np.clip(lit, 0, 255, out=lit).astype(np.uint8)
    return image
