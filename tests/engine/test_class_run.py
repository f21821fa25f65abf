"""Training and testing a classifier: outputs, invalid data, and several processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_classifier as tiny
import tiny_training
import torch
from PIL import Image

from detkit.engine.run import TrainResult, test, train
from detkit.errors import ConfigError, DataError, DetkitError, WeightsError
from detkit.evaluation.classification.classification_scores import ClassificationScores

Trained = tuple[Path, TrainResult]
TRAIN = Path(__file__).resolve().parents[2] / "tools" / "train.py"
ONE_EPOCH = {"train_cfg.max_epochs": 1}
BALANCED = """
train_dataloader.update(sampler=dict(type="ClassBalancedSampler"))
model["head"].update(loss=dict(type="ClassBalancedLoss", beta=0.9))
"""


def test_training_writes_checkpoints_scores_and_a_confusion_matrix(
    trained_classifier: Trained
) -> None:
    _, result = trained_classifier
    assert result.checkpoint == result.work_dir / "best.pth"
    assert result.test is not None and isinstance(result.test.scores, ClassificationScores)
    scores = result.test.scores
    assert scores.classes == tiny.CLASSES and scores.images == 6
    assert result.test.metrics["cls/top1"] == np.trace(scores.confusion) / 6
    assert set(result.test.metrics) >= {"cls/top1", "cls/top2", "cls/precision", "cls/recall",
                                        "cls/f1", "cls/balanced_accuracy"}
    assert result.confusion_matrix == result.work_dir / "test_confusion_matrix.png"
    with Image.open(result.confusion_matrix) as image:
        assert min(image.size) > 100
    content = torch.load(result.checkpoint, weights_only=True)
    assert content["meta"]["dataset_meta"]["classes"] == tiny.CLASSES


def test_repeated_test_gives_the_same_metrics(
    trained_classifier: Trained, tmp_path: Path
) -> None:
    config, result = trained_classifier
    assert result.checkpoint is not None and result.test is not None
    again = test(config, result.checkpoint, work_dir=tmp_path, device="cpu")
    for name, value in result.test.metrics.items():
        if name.startswith("cls/"):
            assert again.metrics[name] == value


@pytest.mark.slow
def test_one_folder_is_split_and_trained_balanced_with_amp(
    trained_classifier: Trained, tmp_path: Path
) -> None:
    """A folder of class folders is split; the loss gets the class counts of the training split."""
    data = tmp_path / "whole"
    shutil.copytree(trained_classifier[0].parent / "data" / "train", data)
    for name in tiny.CLASSES:
        for index in range(4, 10):
            pixels = np.array(Image.open(data / name / f"{index % 4}.png")) // (index - 2)
            Image.fromarray(pixels).save(data / name / f"{index}.png")
    config = tiny.write_config(tmp_path, Path("/nowhere"), BALANCED)
    result = train(config, data=str(data), work_dir=tmp_path / "work", device="cpu", amp=True,
                   auto_scale_lr=True, seed=1,
                   options={**ONE_EPOCH, "train_dataloader.batch_size": 8, "param_scheduler": []})
    assert result.test is not None and result.test.scores is not None
    content = torch.load(result.work_dir / "epoch_1.pth", weights_only=True)
    # 80 % of 10 images of each class
    assert "class_counts=[\n" in content["meta"]["cfg"].replace(" ", "")
    counts = content["meta"]["cfg"].replace(" ", "").replace("\n", "")
    assert "class_counts=[8,8,8,]" in counts
    # The head's learning rate has no decay: 0.002 for a batch of 4, so 0.004 for 8.
    rates = [group["lr"] for group in content["optimizer"]["param_groups"]]
    assert max(rates) == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda data: shutil.rmtree(data),
         r"the config's data is not there: .*train \(train_dataloader.dataset\), .*val .*--data"),
        (lambda data: [file.unlink() for file in (data / "train" / "red").iterdir()],
         "no (picture|image)s? .*'red'|red.*no (picture|image)"),
        (lambda data: (data / "val" / "red").rename(data / "val" / "pink"), "pink"),
    ],
    ids=["not there", "an empty class", "a class that train lacks"],
)
def test_unusable_config_data_is_rejected(tmp_path: Path, corrupt: Any, message: str) -> None:
    data = tiny.write_images(tmp_path / "data", train=2, val=1)
    config = tiny.write_config(tmp_path, data)
    corrupt(data)
    with pytest.raises(DataError, match=message):
        train(config, work_dir=tmp_path / "work", device="cpu")


def test_fewer_images_than_one_batch_with_drop_last_is_rejected(tmp_path: Path) -> None:
    config = tiny.write_config(tmp_path, tiny.write_images(tmp_path / "data", train=1, val=1))
    options = {"train_dataloader.batch_size": 8, "train_dataloader.drop_last": True}
    with pytest.raises(DataError, match="no training batches.*got 3 images and batch_size=8"):
        train(config, work_dir=tmp_path / "work", device="cpu", options=options)


def test_unknown_save_best_metric_error_lists_the_metrics(tmp_path: Path) -> None:
    config = tiny.write_config(tmp_path, tiny.write_images(tmp_path / "data", val=1))
    # With three classes there is no top 5.
    options = {**ONE_EPOCH, "default_hooks.checkpoint.save_best": "cls/top5"}
    with pytest.raises(ConfigError, match="save_best.*got cls/top5, expected one of cls/top1"):
        train(config, work_dir=tmp_path / "work", device="cpu", options=options)


def test_splits_with_different_classes_are_rejected(tmp_path: Path) -> None:
    data = tiny.write_images(tmp_path / "data", train=1, val=1)
    config = tiny.write_config(tmp_path, data, """
train_dataloader["dataset"].update(metainfo=dict(classes=("blue", "green", "red")))
val_dataloader["dataset"].update(metainfo=dict(classes=("red", "green", "blue")))
""")
    with pytest.raises(ConfigError, match="val_dataloader.dataset.metainfo.classes: the splits "
                                          "name different classes: got 'red', 'green', 'blue'"):
        train(config, work_dir=tmp_path / "work", device="cpu")


def test_folder_classes_define_the_labels_of_all_splits(tmp_path: Path) -> None:
    """Without the first class, a split would give the second class the label 0."""
    data = tiny.write_images(tmp_path / "data", train=1, val=1)
    shutil.rmtree(data / "val" / "blue")
    from detkit.config.load_config import load_config
    from detkit.engine.setup_data import setup_data

    cfg = load_config(tiny.write_config(tmp_path, data))
    cfg, classes, _ = setup_data(cfg, None, tmp_path, training=True)
    assert classes == list(tiny.CLASSES)
    for split in ("train", "val", "test"):
        assert cfg[f"{split}_dataloader"].dataset.metainfo.classes == tiny.CLASSES


def test_data_with_other_classes_is_rejected(
    trained_classifier: Trained, tmp_path: Path
) -> None:
    _, result = trained_classifier
    data = tiny.write_images(tmp_path / "data", train=1, val=1)
    (data / "val" / "red").rename(data / "val" / "pink")
    config = tiny.write_config(tmp_path, data)
    assert result.checkpoint is not None
    with pytest.raises(DataError, match="pink"):
        test(config, result.checkpoint, work_dir=tmp_path / "work", device="cpu")


def test_detector_checkpoint_is_rejected_for_a_classifier(
    trained_classifier: Trained, tmp_path: Path
) -> None:
    from detkit.config.infer.infer_fields import infer_fields
    from detkit.config.load_config import load_config
    from detkit.registry import MODELS

    cfg = load_config(tiny_training.write_config(tmp_path, Path("/nowhere")))
    infer_fields(cfg, tiny.CLASSES)
    content = {"state_dict": MODELS.build(cfg.model).state_dict(),
               "meta": {"dataset_meta": {"classes": tiny.CLASSES}}}
    torch.save(content, tmp_path / "detector.pth")
    with pytest.raises(WeightsError, match="detector.pth does not fit the model of the config"):
        test(trained_classifier[0], tmp_path / "detector.pth", work_dir=tmp_path / "work",
             device="cpu")


def test_classification_folder_for_a_detector_error_is_one_line(
    trained_classifier: Trained, tiny_config: Path, tmp_path: Path
) -> None:
    with pytest.raises(DetkitError):
        train(tiny_config, data=str(trained_classifier[0].parent / "data"),
              work_dir=tmp_path / "work", device="cpu")


@pytest.mark.slow
def test_two_gloo_processes_train_and_test_a_classifier(tmp_path: Path) -> None:
    """With the same total batch the weights are the same.

    Drop path, dropout, mixing and augmentation are off: they differ between processes.
    """
    extra = """
custom_hooks = []
model.update(train_cfg=None)
model["backbone"].update(drop_path_rate=0.0)
model["head"].update(dropout=0.0)
train_dataloader["dataset"].update(pipeline=test_pipeline)
train_cfg.update(max_epochs=2, val_interval=2)
"""
    config = tiny.write_config(tmp_path, tiny.write_images(tmp_path / "data"), extra)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
                "--master-port", "29523"]
    weights, printed = [], []
    for launch, batch, flags in (([sys.executable], 4, []),
                                 (torchrun, 2, ["--launcher", "pytorch"])):
        work = tmp_path / f"batch{batch}"
        done = subprocess.run(
            [*launch, str(TRAIN), str(config), "--work-dir", str(work), "--device", "cpu", *flags,
             "--cfg-options", f"train_dataloader.batch_size={batch}"],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, capture_output=True, timeout=500)
        assert done.returncode == 0, done.stderr[-3000:]
        content = torch.load(work / "epoch_2.pth", weights_only=True)
        assert content["meta"]["iter"] == 6  # 12 images, 4 in a step over all processes, 2 epochs
        weights.append(content["state_dict"])
        printed.append(done.stdout)
    for name, weight in weights[0].items():
        # Gradients are means over the same 4 images, summed in another order.
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-3, atol=1e-4, msg=name)
    for out in printed:
        assert out.count("checkpoint: ") == 1 and out.count("confusion matrix: ") == 1
