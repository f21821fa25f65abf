"""The light of a drawn scene, and what the camera makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.rng import Dice
from detkit.data.synthetic.textures import Picture, threefold


@dataclass(frozen=True)
class Light:
    """The light of a scene: all of it thrown once, so that a video keeps it.

    Attributes:
        toward: (x, y) of length 1, where the light comes from; y down.
        gain: of all brightness, 1 for none.
        cast: the gain of red, green and blue.
        slope: how much brighter it is at the edge towards the light, 0 for even.
        blur: of the camera, standard deviation in pixels.
        noise: of the camera, about the standard deviation in grey levels.
    """

    toward: tuple[float, float]
    gain: float
    cast: tuple[float, float, float]
    slope: float
    blur: float
    noise: float


def throw_light(dice: Dice) -> Light:
    """A light: direction, gain, colour cast, fall-off, and the camera's blur and noise."""
    angle = math.radians(dice.between(200, 340))
    return Light(
        toward=(math.cos(angle), math.sin(angle)),
        gain=dice.scale(0.62, 1.2),
        cast=(dice.between(0.88, 1.08), dice.between(0.94, 1.04), dice.between(0.84, 1.08)),
        slope=dice.between(0, 0.35),
        blur=dice.between(0.4, 0.9) if dice.chance(0.25) else 0.0,
        noise=dice.between(2, 7) if dice.chance(0.5) else 0.0,
    )


def develop(picture: Picture, light: Light, grain: Picture | None) -> NDArray[np.uint8]:
    """What the camera makes of it: gain, cast, fall-off of the light, blur, noise; uint8."""
    height, width = picture.shape[:2]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(light.toward[0])
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(light.toward[1])
    field = np.float32(light.gain) * (1 + np.float32(light.slope) * (across + down))
    lit = picture * cv2.merge([field * np.float32(share) for share in light.cast])
    if light.blur:
        lit = cv2.GaussianBlur(lit, (5, 5), light.blur)
    if grain is not None:
        lit += threefold((grain - 0.5) * np.float32(3.4 * light.noise))
    lit += np.float32(0.5)
    image: NDArray[np.uint8] = np.clip(lit, 0, 255, out=lit).astype(np.uint8)
    return image
