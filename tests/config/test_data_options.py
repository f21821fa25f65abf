"""``data_options`` of a config or of --cfg-options reaches the check of the data."""

import json
import shutil

import pytest

from detkit.config.data.dataset_check import check_own_data
from detkit.config.load_config import load_config
from detkit.engine.setup_data import take_data
from detkit.errors import DetkitError
from detkit.inference.export.eval_split import take_data_of
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


def test_a_configs_own_file_is_taken_as_it_says_on_the_users_word(
        repository, shared_cases, tmp_path):
    root = shared_cases / "data" / "xyxy_boxes"
    cfg = load_config(repository / "configs" / "quickstart.py", {})
    file = next(root.rglob("*.json"))
    cfg.test_dataloader.dataset.update(data_root="", ann_file=str(file), data_prefix={
        "img": str(next(root.rglob("*.jpg")).parent)})
    cfg.test_dataloader.dataset.metainfo = {"classes": tuple(
        item["name"] for item in json.loads(file.read_text())["categories"])}
    with pytest.raises(DetkitError, match="pass its folder as --data with"):
        check_own_data(cfg, ("test",))
    for asked in ("xywh", {"test": "xywh"}):
        cfg.data_options = {"box_format": asked}
        check_own_data(cfg, ("test",))


@pytest.mark.parametrize("own", [True, False])
def test_an_export_reads_only_the_trainings_data_by_its_options(
        repository, shared_cases, tmp_path, own):
    data = shared_cases / "data" / "xyxy_boxes"
    cfg = load_config(repository / "configs" / "quickstart.py",
                      {"data_options.box_format": "xyxy"})
    take_data(cfg, str(data), tmp_path / "run", training=True)
    other = tmp_path / "other"
    shutil.copytree(data, other)
    if own:
        take_data_of(cfg, str(data), tmp_path / "work", ("a", "b"))
    else:
        with pytest.raises(DetkitError, match="do not fit as .x, y, width, height"):
            take_data_of(cfg, str(other), tmp_path / "work", ("a", "b"))
