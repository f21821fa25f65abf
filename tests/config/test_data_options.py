"""``data_options`` of a config or of --cfg-options reaches the check of the data."""

import json
import shutil

import pytest

from detkit.config.data.dataset_check import check_coco_datasets
from detkit.config.load_config import load_config
from detkit.engine.setup_data import setup_data
from detkit.errors import DetkitError
from detkit.inference.export.eval_split import configure_data
from detkit.registry import import_mmdet


def load_annotations(repository, data, work, **options):
    import_mmdet()
    cfg = load_config(repository / "configs" / "quickstart.py",
                      {f"data_options.{name}": value for name, value in options.items()})
    cfg, _, _ = setup_data(cfg, str(data), work, training=True)
    return json.loads(open(cfg.train_dataloader.dataset.ann_file).read())["annotations"]


def test_box_format_option_reads_xyxy_boxes(repository, shared_cases, tmp_path):
    data = shared_cases / "data" / "xyxy_boxes"
    with pytest.raises(DetkitError, match="data_options.box_format=xyxy"):
        load_annotations(repository, data, tmp_path)
    boxes = load_annotations(repository, data, tmp_path, box_format="xyxy")
    # The stated areas are those of the drawn boxes.
    assert boxes and all(box["bbox"][2] * box["bbox"][3] == box["area"] for box in boxes)


def test_train_difficult_option_excludes_difficult_objects(
        repository, shared_cases, tmp_path):
    data = shared_cases / "data" / "voc_difficult"
    assert sum(box["iscrowd"] for box in load_annotations(repository, data, tmp_path)) == 0
    assert sum(box["iscrowd"] for box in load_annotations(
        repository, data, tmp_path, train_difficult=False)) == 4


def test_a_misspelt_option_is_refused(repository, shared_cases, tmp_path):
    with pytest.raises(DetkitError, match="did you mean 'box_format'"):
        load_annotations(repository, shared_cases / "data" / "xyxy_boxes", tmp_path,
                         box_formt="xyxy")


def test_box_format_xywh_accepts_the_config_annotations(
        repository, shared_cases, tmp_path):
    root = shared_cases / "data" / "xyxy_boxes"
    cfg = load_config(repository / "configs" / "quickstart.py", {})
    file = next(root.rglob("*.json"))
    cfg.test_dataloader.dataset.update(data_root="", ann_file=str(file), data_prefix={
        "img": str(next(root.rglob("*.jpg")).parent)})
    cfg.test_dataloader.dataset.metainfo = {"classes": tuple(
        item["name"] for item in json.loads(file.read_text())["categories"])}
    with pytest.raises(DetkitError, match="pass its folder as --data with"):
        check_coco_datasets(cfg, ("test",))
    for box_format in ("xywh", {"test": "xywh"}):
        cfg.data_options = {"box_format": box_format}
        check_coco_datasets(cfg, ("test",))


@pytest.mark.parametrize("same_data", [True, False])
def test_export_applies_data_options_only_to_the_training_data(
        repository, shared_cases, tmp_path, same_data):
    data = shared_cases / "data" / "xyxy_boxes"
    cfg = load_config(repository / "configs" / "quickstart.py",
                      {"data_options.box_format": "xyxy"})
    cfg, _, _ = setup_data(cfg, str(data), tmp_path / "run", training=True)
    other = tmp_path / "other"
    shutil.copytree(data, other)
    if same_data:
        configure_data(cfg, str(data), tmp_path / "work", ("a", "b"))
    else:
        with pytest.raises(DetkitError, match="do not fit as .x, y, width, height"):
            configure_data(cfg, str(other), tmp_path / "work", ("a", "b"))
