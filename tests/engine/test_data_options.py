"""``data_options`` of a config or of --cfg-options reaches the check of the data."""

import json

import pytest

from detkit.engine.config import load_config
from detkit.engine.take_data import take_data
from detkit.errors import DetkitError
from detkit.registry import import_mmdet


def taken(repository, data, work, **options):
    import_mmdet()
    cfg = load_config(repository / "configs" / "quickstart.py",
                      {f"data_options.{name}": value for name, value in options.items()})
    take_data(cfg, str(data), work, training=True)
    return json.loads(open(cfg.train_dataloader.dataset.ann_file).read())["annotations"]


def test_corners_are_read_as_such_on_the_users_word(repository, shared_cases, tmp_path):
    data = shared_cases / "data" / "xyxy_boxes"
    with pytest.raises(DetkitError, match="data_options.box_format=xyxy"):
        taken(repository, data, tmp_path)
    boxes = taken(repository, data, tmp_path, box_format="xyxy")
    # The stated areas are those of the drawn boxes.
    assert boxes and all(box["bbox"][2] * box["bbox"][3] == box["area"] for box in boxes)


def test_difficult_objects_are_left_out_of_the_training_on_the_users_word(
        repository, shared_cases, tmp_path):
    data = shared_cases / "data" / "voc_difficult"
    assert sum(box["iscrowd"] for box in taken(repository, data, tmp_path)) == 0
    assert sum(box["iscrowd"] for box in taken(
        repository, data, tmp_path, train_difficult=False)) == 4


def test_a_misspelt_option_is_refused(repository, shared_cases, tmp_path):
    with pytest.raises(DetkitError, match="did you mean 'box_format'"):
        taken(repository, shared_cases / "data" / "xyxy_boxes", tmp_path, box_formt="xyxy")
