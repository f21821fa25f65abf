"""Configs from users: a component without a type, and a subset of the dataset's classes."""

import json
import logging
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from torch import nn

from detkit.config.data.dataset_check import check_coco_datasets
from detkit.config.load_config import load_config
from detkit.config.validate.component_keys import is_component_key
from detkit.config.validate.config_check import check_config
from detkit.errors import ConfigError, DataError
from detkit.registry import import_mmdet


def case(cases: Path, folder: Path, repository: Path, name: str) -> Path:
    """Copy a case's config, with its two placeholders replaced, and its data."""
    for split, count in (("train", 4), ("val", 2)):
        (folder / "data" / "base" / split).mkdir(parents=True)
        annotations: list[dict] = []
        for image in range(1, count + 1):
            Image.new("RGB", (64, 48), "grey").save(
                folder / "data" / "base" / split / f"{image}.jpg")
            for category, left in ((1, 4), (2, 34)):
                annotations.append({
                    "id": len(annotations) + 1, "image_id": image, "category_id": category,
                    "bbox": [left, 5, 20, 20], "area": 400, "iscrowd": 0})
        document = {
            "images": [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48}
                       for n in range(1, count + 1)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        }
        file = folder / "data" / "base" / "annotations" / f"instances_{split}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(document))
    text = (cases / "configs" / name).read_text()
    path = folder / name
    path.write_text(text.replace("@CONFIGS@", str(repository / "configs"))
                    .replace("@CASES@", str(folder)))
    return path


def test_head_without_type_error_has_its_path(
    shared_cases: Path, tmp_path: Path, repository: Path
) -> None:
    path = case(shared_cases, tmp_path, repository, "num80.py")
    with pytest.raises(ConfigError, match=r"^model\.roi_head\.bbox_head\[0\] has no type"):
        load_config(path)


@pytest.mark.parametrize("text, path", [
    ("model = dict(type='FasterRCNN', backbone=dict(depth=50))", "model.backbone"),
    ("model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=50), "
     "rpn_head=dict(in_channels=8))", "model.rpn_head"),
    ("model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=50), "
     "rpn_head=dict(type='RPNHead', in_channels=8, loss_cls=dict(use_sigmoid=True)))",
     "model.rpn_head.loss_cls"),
    ("custom_hooks = [dict(priority=49)]", "custom_hooks[0]"),
    ("param_scheduler = [dict(type='LinearLR', start_factor=0.1), dict(end=5)]",
     "param_scheduler[1]"),
], ids=["backbone", "rpn-head", "loss", "hook", "scheduler"])
def test_component_dict_without_type_is_rejected(tmp_path: Path, text: str, path: str) -> None:
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path / "a.py")
    assert str(raised.value).startswith(f"{path} has no type")


@pytest.mark.parametrize("argument", ["loss_weights", "loss_cfg", "loss_kwargs", "loss_terms",
                                      "two_way_head"])
def test_user_class_arguments_are_not_checked_as_components(argument: str) -> None:
    class OwnDetector(nn.Module):
        def __init__(self, **kwargs: dict) -> None:
            super().__init__()
            self.kept = kwargs

    check_config({"model": {"type": OwnDetector, argument: {"cls": 1.0, "box": 2.0}}})
    with pytest.raises(ConfigError, match="^model.backbone has no type"):
        check_config({"model": {"type": OwnDetector, "backbone": {"depth": 50}}})


@pytest.mark.parametrize("key, built", [("loss_bbox", True), ("mask_head", True), ("head", False),
                                        ("loss_weights", False), ("loss_cfg", False),
                                        ("loss_head_kwargs", False)])
def test_component_keys_of_library_classes(key: str, built: bool) -> None:
    import_mmdet()
    from mmdet.models import FasterRCNN

    assert is_component_key(key, FasterRCNN) == built


def test_subset_of_classes_is_used_and_the_rest_logged(
    shared_cases: Path, tmp_path: Path, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_mmdet()
    cfg = load_config(case(shared_cases, tmp_path, repository, "subset_b.py"))
    with caplog.at_level(logging.INFO, "detkit"):
        check_coco_datasets(cfg, ("train", "val"))
    # Four images of train with one box of each class, two of val.
    assert "4 images, 4 boxes used; not used: 0 images, 4 boxes" in caplog.text
    assert "2 images, 2 boxes used; not used: 0 images, 2 boxes" in caplog.text
    assert "left out, as the config names other classes" in caplog.text
    assert "the class 'a' has 4 boxes" in caplog.text


def test_unknown_or_undeclared_classes_are_rejected(
    shared_cases: Path, tmp_path: Path, repository: Path
) -> None:
    import_mmdet()
    cfg = Config.fromfile(str(case(shared_cases, tmp_path, repository, "subset_b.py")))
    cfg.train_dataloader.dataset.metainfo = dict(classes=("b", "owl"))
    with pytest.raises(DataError, match="'a' has 4 boxes but is none of the 2 classes"):
        check_coco_datasets(cfg, ("train",))
    del cfg.train_dataloader.dataset["metainfo"]  # then mmdet takes COCO's own
    with pytest.raises(DataError, match="none of the 80 classes"):
        check_coco_datasets(cfg, ("train",))


def test_dataset_with_a_subset_of_classes_has_only_these(
    shared_cases: Path, tmp_path: Path, repository: Path
) -> None:
    from mmengine.registry import DefaultScope

    from detkit.registry import DATASETS

    import_mmdet()
    cfg = load_config(case(shared_cases, tmp_path, repository, "subset_b.py"))
    with DefaultScope.overwrite_default_scope("detkit"):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    instances = [dataset.get_data_info(index)["instances"] for index in range(len(dataset))]
    assert dataset.metainfo["classes"] == ("b",)
    assert [[(instance["bbox_label"], instance["bbox"])
             for instance in image]
            for image in instances] == [[(0, [34, 5, 54, 25])]] * 4
