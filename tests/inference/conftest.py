"""One thumbnail checkpoint, and a predictor of it, for all tests of this room."""

from pathlib import Path

import pytest
from thumbnail_checkpoint import save_thumbnail

from detkit import Predictor


@pytest.fixture(scope="session")
def thumbnail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint's file."""
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture(scope="session")
def predictor(thumbnail: Path) -> Predictor:
    """Gives everything the model finds above its own threshold of 0.05."""
    return Predictor(thumbnail, device="cpu", score_threshold=0.0)
