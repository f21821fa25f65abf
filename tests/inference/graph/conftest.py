"""Real images of three datasets."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Image = NDArray[np.uint8]
SETS = {
    "cells": ("det_bccd_voc/BCCD/JPEGImages", "*.jpg"),
    "chess": ("det_chess_coco", "*.jpg"),
    "photos": ("photos", "*.*g"),
}


@pytest.fixture(scope="session")
def real_images(shared_data: Path) -> Callable[[str, int], list[Image]]:
    """Read the first images of a dataset, RGB, resized to a longer side of 320 pixels."""

    def read(name: str, count: int) -> list[Image]:
        folder, pattern = SETS[name]
        paths = sorted((shared_data / folder).rglob(pattern))[:count]
        assert len(paths) == count
        images = []
        for path in paths:
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            scale = 320 / max(image.shape[:2])
            images.append(cv2.resize(image, None, fx=scale, fy=scale))
        return images

    return read
