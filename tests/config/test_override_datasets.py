"""``--data`` replaces the datasets of a config, inside wrappers too, and keeps pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from PIL import Image

from detkit.config.data.dataset_check import check_coco_datasets
from detkit.config.data.override_datasets import override_datasets
from detkit.data.detection.load_detection_data import DataSplit, DetectionData
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

PIPELINE = [dict(type="LoadImageFromFile"), dict(type="PackDetInputs")]
PLAIN = dict(type="LVISV1Dataset", data_root="old", ann_file="a.json", pipeline=PIPELINE,
             data_prefix=dict(img="i"), filter_cfg=dict(filter_empty_gt=True, bbox_min_size=32))


def _data() -> DetectionData:
    splits = {name: DataSplit(Path(f"/d/{name}.json"), Path(f"/d/{name}"), 1, 1)
              for name in ("train", "val", "test")}
    return DetectionData(root=Path("/d"), format="coco", classes=("a", "b"), splits=splits,
                         ledger=Ledger("/d"))


WRAPPED: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "repeated": dict(type="RepeatDataset", times=3, dataset=PLAIN),
    "mixed": dict(type="MultiImageMixDataset", dataset=PLAIN, pipeline=[]),
    "concatenated": dict(type="ConcatDataset", datasets=[PLAIN, PLAIN]),
    "concatenated and repeated": dict(
        type="RepeatDataset", times=3, dataset=dict(type="ConcatDataset", datasets=[PLAIN])),
}


@pytest.mark.parametrize("dataset", WRAPPED.values(), ids=WRAPPED)
def test_the_innermost_dataset_is_replaced(dataset: dict[str, Any]) -> None:
    cfg = Config(dict(train_dataloader=dict(batch_size=2, dataset=dataset)))
    override_datasets(cfg, _data())
    dataset_cfg = cfg.train_dataloader.dataset
    wrappers = 0
    while "dataset" in dataset_cfg:
        wrappers, dataset_cfg = wrappers + 1, dataset_cfg.dataset
    assert wrappers == (1 if "dataset" in dataset else 0)
    assert dataset_cfg.type == "CocoDataset" and dataset_cfg.pipeline == PIPELINE
    assert (dataset_cfg.data_root, dataset_cfg.ann_file, dataset_cfg.data_prefix) == (
        "", "/d/train.json", {"img": "/d/train"})
    assert dataset_cfg.metainfo == {"classes": ("a", "b")}
    assert dataset_cfg.filter_cfg == {"filter_empty_gt": True}
    assert cfg.train_dataloader.batch_size == 2


@pytest.mark.parametrize(
    ("evaluator", "expected"),
    [(dict(type="CocoMetric", ann_file="x", metric=["bbox", "segm"]),
      dict(type="CocoMetric", ann_file="/d/val.json", metric="bbox")),
     (dict(type="CocoBBoxMetric", ann_file="x",
           classwise=True), dict(type="CocoBBoxMetric", ann_file="/d/val.json", classwise=True)),
     ([dict(type="LVISMetric"), dict(type="CocoMetric", ann_file="x")
       ], dict(type="CocoMetric", ann_file="/d/val.json", metric="bbox")),
     (dict(type="VOCMetric",
           metric="mAP"), dict(type="detkit.CocoBBoxMetric", ann_file="/d/val.json")), ],
    ids=["CocoMetric", "CocoBBoxMetric", "several", "another kind"],
)
def test_evaluator_reads_the_ground_truth_of_the_new_dataset(
    evaluator: Any, expected: dict[str, Any]
) -> None:
    cfg = Config(dict(val_dataloader=dict(dataset=PLAIN), val_evaluator=evaluator))
    override_datasets(cfg, _data())
    assert cfg.val_evaluator == expected


def test_missing_annotation_files_are_reported_together() -> None:
    cfg = Config({f"{s}_dataloader": dict(dataset=dict(PLAIN, ann_file=f"{s}.json"))
                  for s in ("train", "val")})
    with pytest.raises(DataError, match=r"old/train.json \(train_dataloader.dataset\).*"
                                        r"old/val.json.*--data"):
        check_coco_datasets(cfg, ("train", "val", "test"))


def test_custom_classes_without_metainfo_are_rejected(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4]}],
        "categories": [{"id": 1, "name": "cell"}],
    }))
    dataset = dict(type="CocoDataset", data_root=str(tmp_path), ann_file="a.json")
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    # mmdet would use COCO's 80 classes and train on none of the boxes.
    with pytest.raises(DataError, match="'cell' has 1 boxes.*train_dataloader.dataset.metainfo"):
        check_coco_datasets(cfg, ("train",))


def test_persistent_workers_are_off_without_workers():
    from mmengine.config import Config

    from detkit.config.overrides import substitute_components

    cfg = Config({"train_dataloader": {"num_workers": 0, "persistent_workers": True},
                  "val_dataloader": {"num_workers": 2, "persistent_workers": True}})
    substitute_components(cfg)
    assert not cfg.train_dataloader.persistent_workers
    assert cfg.val_dataloader.persistent_workers
