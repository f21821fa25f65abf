"""A tiny checkpoint of each task, and its predictor."""

from pathlib import Path

import pytest
from class_checkpoint import save_class_thumbnail
from thumbnail_checkpoint import save_thumbnail

from detkit import Classifications, Predictor


@pytest.fixture(scope="session")
def thumbnail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector's checkpoint."""
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture(scope="session")
def predictor(thumbnail: Path) -> Predictor:
    """Returns all detections above the config's threshold of 0.05."""
    return Predictor(thumbnail, device="cpu", score_threshold=0.0)


@pytest.fixture(scope="session")
def class_thumbnail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier's checkpoint."""
    return save_class_thumbnail(tmp_path_factory.mktemp("classifier") / "classifier.pth")


@pytest.fixture(scope="session")
def class_predictor(class_thumbnail: Path) -> Predictor[Classifications]:
    return Predictor(class_thumbnail, device="cpu")
