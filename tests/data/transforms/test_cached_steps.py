"""The result of loading steps is kept, as a copy, and is that of the steps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from detkit.data.transforms.cached_steps import CachedSteps
from detkit.errors import ConfigError, DataError
from detkit.registry import TRANSFORMS, import_mmdet

STEPS = [dict(type="LoadImage"), dict(type="LoadAnnotations", with_bbox=True),
         dict(type="Resize", scale=(8, 8), keep_ratio=True)]


def _record(path):
    return {"img_path": str(path), "img_id": 1,
            "instances": [{"bbox": [0, 0, 8, 4], "bbox_label": 2, "ignore_flag": 0}]}


@pytest.fixture
def image_path(tmp_path):
    import_mmdet()
    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_later_results_are_those_of_the_steps_without_the_file(image_path):
    expected = _record(image_path)
    for step in STEPS:
        expected = TRANSFORMS.build(step)(expected)
    steps = CachedSteps(STEPS)
    for attempt in range(3):
        result = steps(_record(image_path))
        assert (result["img"] == expected["img"]).all()
        assert result["gt_bboxes"].tensor.tolist() == [[0, 0, 4, 2]]
        assert result["gt_bboxes_labels"].tolist() == [2]
        # What a later step does to a result stays out of the next one.
        result["img"][:] = 0
        result["gt_bboxes"].translate_((1, 1))
        image_path.unlink(missing_ok=True)


def test_memory_is_limited(image_path):
    steps = CachedSteps(STEPS, max_mb=0)
    steps(_record(image_path))
    image_path.unlink()
    with pytest.raises(DataError):
        steps(_record(image_path))


def test_random_steps_are_rejected():
    with pytest.raises(ConfigError, match="got RandomFlip.*put RandomFlip after CachedSteps"):
        CachedSteps([*STEPS, dict(type="RandomFlip", prob=0.5)])
    with pytest.raises(ConfigError, match="max_mb: got -1"):
        CachedSteps(STEPS, max_mb=-1)


def test_masks_count_too(image_path):
    steps = CachedSteps(STEPS)
    steps(_record(image_path))
    without = steps._bytes
    assert 8 * 8 * 3 <= without < 8 * 8 * 3 + 100
    masked = CachedSteps([STEPS[0], dict(type="LoadAnnotations", with_bbox=True, with_mask=True,
                                         poly2mask=True), *STEPS[2:]])
    record = _record(image_path)
    record.update(height=16, width=16)
    record["instances"][0]["mask"] = [[0, 0, 8, 0, 8, 4, 0, 4]]
    masked(record)
    assert masked._bytes == without + 8 * 8  # one byte a pixel for the object
