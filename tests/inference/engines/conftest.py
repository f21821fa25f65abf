"""Static graphs and letterboxed images for the tests of the engines."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_detector import SmallDetector

from detkit.data.images.read_image import read_image
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
from detkit.inference.letterbox import letterbox

INPUT_HW = (64, 96)


@pytest.fixture(scope="session")
def graphs(thumbnail: Path) -> dict[str, torch.nn.Module]:
    """The static graph of the thumbnail checkpoint, and one with a deformable convolution."""
    torch.manual_seed(0)
    return {"cascade": CheckpointGraphs(thumbnail).graph(INPUT_HW),
            "deformable": SmallDetector(INPUT_HW).eval()}


@pytest.fixture(scope="session")
def image_batch(shared_data: Path, thumbnail: Path):
    """Three real images, letterboxed (3, 64, 96, 3) uint8, and their sizes."""
    resize_spec = CheckpointGraphs(thumbnail).resize_spec
    files = sorted((shared_data / "det_bccd_voc").rglob("*.jpg"))[:2]
    files += sorted((shared_data / "photos").rglob("*.jpg"))[:1]
    letterboxed = [letterbox(read_image(file), INPUT_HW, resize_spec) for file in files]
    assert len(letterboxed) == 3
    return (np.stack([item.canvas for item in letterboxed]),
            np.array([item.image_hw for item in letterboxed], np.int64))
