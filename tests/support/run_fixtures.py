"""A tiny data set, its config and a run of it, for the tests of several rooms."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_classifier
import tiny_training

from detkit.engine.run import TrainResult, train


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train.json and images/ of six rectangles' pictures; read only."""
    return tiny_training.write_data(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture
def tiny_config(tmp_path: Path, tiny_data: Path) -> Path:
    """The thumbnail detector's config for it."""
    return tiny_training.write_config(tmp_path, tiny_data)


@pytest.fixture(scope="session")
def trained_classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult]:
    """The config of a tiny classifier that was trained for two epochs, and its result; read only.

    Its data lies beside the config, in data/.
    """
    folder = tmp_path_factory.mktemp("classifier")
    data = tiny_classifier.write_images(folder / "data")
    config = tiny_classifier.write_config(folder, data, 'default_hooks.pop("curves")')
    options = {"train_cfg.max_epochs": 2, "train_cfg.val_interval": 2}
    return config, train(config, work_dir=folder / "work", options=options, device="cpu")
