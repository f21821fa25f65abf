"""Fixture of the data tests: a small, valid COCO folder for tests to modify."""

import pytest
from small_sets import CocoFolder


@pytest.fixture
def coco_folder(tmp_path):
    return CocoFolder(tmp_path / "set")
