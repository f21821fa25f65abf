"""The ready dataset pieces with mosaic, mixup and copy-paste, with the user's data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from small_sets import CocoFolder

from detkit.config.load_config import load_config
from detkit.engine.run import train
from detkit.engine.setup_data import setup_data
from detkit.registry import DATASETS

PIECES = ("mosaic", "mixup", "copypaste")


def _write_config(folder: Path, repository: Path, piece: str) -> Path:
    bases = ["models/cascade_rcnn_micro.py", f"datasets/coco_320_{piece}.py",
             "schedules/scratch.py", "runtime.py"]
    path = folder / "config.py"
    path.write_text(
        f"_base_ = {[str(repository / 'configs' / '_base_' / base) for base in bases]}\n"
        "model = dict(backbone=dict(type='EfficientNet', arch='micro', norm_eval=False))\n"
        "custom_hooks = [*_base_.custom_hooks, _base_.clean_end]\n")
    return path


@pytest.mark.parametrize("piece", PIECES)
def test_piece_takes_the_data_and_its_classes(piece, repository, tmp_path):
    cfg = load_config(_write_config(tmp_path, repository, piece))
    data = CocoFolder(tmp_path / "set").write()
    cfg, classes, _ = setup_data(cfg, str(data), tmp_path / "work", training=True)
    assert classes == ["cat", "dog"]
    with DefaultScope.overwrite_default_scope("detkit"):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset.metainfo["classes"] == ("cat", "dog")
    np.random.seed(0)
    for index in [*range(len(dataset))] * 2:
        sample = dataset[index]
        height, width = sample["inputs"].shape[1:]
        boxes = sample["data_samples"].gt_instances.bboxes.tensor
        assert max(height, width) <= 320
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= width).all()
        assert (boxes[:, 3] <= height).all() and (boxes[:, 2:] - boxes[:, :2] > 4).all()


@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES)
def test_piece_trains_on_blood_cells(piece, repository, shared_data, tmp_path):
    options = {"train_cfg.max_epochs": 2, "train_cfg.val_interval": 2,
               "train_dataloader.dataset.dataset.indices": 8,
               "val_dataloader.dataset.indices": 2, "test_dataloader.dataset.indices": 2}
    result = train(_write_config(tmp_path, repository, piece), work_dir=tmp_path / "work",
                   data=str(shared_data / "det_bccd_voc"), options=options, device="cpu")
    assert result.checkpoint is not None
    ledger = json.loads((tmp_path / "work" / "data" / "ledger.json").read_text())
    assert ledger["splits"]["train"]["images_used"] == 205
    # One of the training, one of the test.
    log = "".join(path.read_text() for path in (tmp_path / "work").glob("*/*.log"))
    assert "Epoch 2: switched the training pipeline to RandomResize" in log
