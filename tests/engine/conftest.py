"""A tiny data set and config on disk, for the tests of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_training


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train.json and images/ of six rectangles' pictures; read only."""
    return tiny_training.write_data(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture
def tiny_config(tmp_path: Path, tiny_data: Path) -> Path:
    """The thumbnail detector's config for it."""
    return tiny_training.write_config(tmp_path, tiny_data)
