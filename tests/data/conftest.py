"""A small COCO folder to break in one place."""

import pytest
from small_sets import CocoFolder


@pytest.fixture
def coco_folder(tmp_path):
    return CocoFolder(tmp_path / "set")
