"""The curves of a training: hand-worked scalars, and a run against its own json log."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from PIL import Image

from detkit.engine.hooks.curves_hook import CURVES_FILE, CurvesHook
from detkit.engine.results import TrainResult
from detkit.engine.run_summary import describe_model
from detkit.engine.training_curves import VALIDATION_ITERS, group_losses, training_curves


def scalars(**values: list[float]) -> dict[str, np.ndarray]:
    return {name.replace("__", "/"): np.array(items, float) for name, items in values.items()}


@pytest.mark.parametrize(("names", "expected"), [
    ([], []),
    (["loss"], ["total"]),
    (["loss", "loss_rpn_cls", "loss_rpn_bbox", "s0.loss_cls", "s0.loss_bbox", "s0.acc",
      "s1.loss_cls"], ["total", "RPN", "stage 1", "stage 2"]),
    (["loss", "loss_rpn_cls", "loss_cls", "loss_bbox", "acc"], ["total", "RPN", "RoI head"]),
    (["loss", "loss_cls", "loss_bbox"], ["total", "classification", "boxes"]),
    (["loss", "loss_cls", "d0.loss_cls", "d1.loss_cls", "enc_loss_cls"],
     ["total", "classification", "earlier layers", "encoder"]),
    (["a_loss_with_a_very_long_name"], ["a loss with a..."]),
], ids=["none", "classifier", "cascade", "faster", "one stage", "decoder", "unknown"])
def test_losses_are_grouped(names: list[str], expected: list[str]) -> None:
    grouped = group_losses({f"train/{name}": np.ones(3) for name in names})
    assert list(grouped) == expected
    parts = [name for name in names if "loss" in name and name != "loss"]
    assert sum(values.sum() for label, values in grouped.items() if label != "total") == (
        3 * len(parts))


def test_loss_that_began_later_is_added_to_the_last_iterations() -> None:
    grouped = group_losses({"train/s0.loss_cls": np.array([1.0, 2, 3]),
                            "train/s0.loss_bbox": np.array([10.0])})
    assert grouped["stage 1"].tolist() == [1, 2, 13]


def test_short_run_has_a_point_for_each_iteration() -> None:
    curves = training_curves(
        scalars(train__loss=[4, 2, 1], train__lr=[.1, .2, .3], train__base_lr=[1, 2, 3],
                val__time=[9, 9, 9], val__data_time=[9, 9, 9]) | {
            "val/coco/bbox_mAP_50": np.array([.2, .4]), "val/coco/bbox_mAP": np.array([.1, .3]),
            VALIDATION_ITERS: np.array([2.0, 3])}, iteration=3, epoch_length=2)
    assert curves.unit == "epoch"
    (total,), (rate,) = curves.losses, curves.learning_rate
    assert total.x.tolist() == [0.5, 1, 1.5] and total.y.tolist() == [4, 2, 1]
    assert rate.y.tolist() == [1, 2, 3]
    assert [(item.label, item.x.tolist(), item.y.tolist()) for item in curves.scores] == [
        ("AP", [1, 1.5], [.1, .3]), ("AP50", [1, 1.5], [.2, .4])]


def test_long_run_is_averaged() -> None:
    # 1000 iterations give 100 points of 10; the mean of 1 to 10 is 5.5.
    values = np.arange(1, 1001)
    (total,) = training_curves({"train/loss": values}, 1000, None).losses
    assert len(total.x) == 100 and total.y[:2].tolist() == [5.5, 15.5]
    assert total.x[:2].tolist() == [5.5, 15.5]  # iterations
    # 45 iterations give 20 points of two or three.
    (total,) = training_curves({"train/loss": values[:45]}, 45, None).losses
    assert len(total.x) == 20 and total.y[:2].tolist() == [1.5, 3.5] and total.y[-1] == 44


def test_scores_of_a_resumed_run() -> None:
    """The last validation is repeated; those of an earlier version have no iterations."""
    curves = training_curves({"val/acc": np.array([.1, .2, .3, .35, .4]),
                              VALIDATION_ITERS: np.array([20.0, 20, 30])}, 30, 10)
    assert [(item.label, item.x.tolist(), item.y.tolist()) for item in curves.scores] == [
        ("acc", [2, 3], [.35, .4])]


def test_curves_equal_the_json_log(trained_classifier: tuple[Path, TrainResult]) -> None:
    _, result = trained_classifier
    with Image.open(result.work_dir / CURVES_FILE) as image:
        assert image.format == "PNG" and image.width == 900
    (log,) = result.work_dir.glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    # A line of each iteration, not averaged, and one of the validation.
    losses = [row["loss"] for row in rows if "loss" in row]
    top1 = [row["cls/top1"] for row in rows if "cls/top1" in row]
    (best,) = result.work_dir.glob("best_*.pth")
    content = torch.load(best, weights_only=True)
    curves = training_curves(
        {name: history["log_history"].numpy()
         for name, history in content["message_hub"]["log_scalars"].items()},
        content["meta"]["iter"], len(losses) // 2)
    assert curves.losses[0].y == pytest.approx(losses)
    assert curves.learning_rate[0].y == pytest.approx(
        [row["base_lr"] for row in rows if "base_lr" in row])
    assert [(item.label, item.x.tolist(), item.y.tolist()) for item in curves.scores] == [
        ("top-1", [2], top1)]


def test_summary_states_the_run(trained_classifier: tuple[Path, TrainResult]) -> None:
    config, result = trained_classifier
    summary = result.summary
    assert summary is not None and result.test is not None
    assert (summary.config, summary.data, summary.classes) == (
        str(config), None, ("blue", "green", "red"))
    assert summary.images == {"train": 12, "val": 6} and summary.tested_on_val
    assert (summary.schedule, summary.weights, summary.resumed) == (
        "2 epochs", "random weights", None)
    assert summary.model.startswith("classifier, ConvNeXtV2; 10,")
    # The only validation was of the checkpoint that was tested, on the same images.
    assert summary.validation == ("top-1", result.test.metrics["cls/top1"], "epoch 2")
    assert summary.training_seconds is not None
    assert 0 < summary.training_seconds < summary.seconds
    assert summary.curves == result.work_dir / CURVES_FILE and summary.ledger is None
    assert summary.log is not None and "Saving checkpoint" in summary.log.read_text()


@pytest.mark.parametrize(("model", "expected"), [
    ({}, "model"),
    ({"type": "mmdet.CascadeRCNN", "backbone": {"type": "EfficientNet", "arch": "lite0"},
      "neck": {"type": "FPN"}}, "Cascade R-CNN, EfficientNet lite0, FPN"),
    ({"type": "RetinaNet", "backbone": {"type": "TimmBackbone", "name": "levit_128"},
      "neck": [{"type": "FPN"}, {"type": "DyHead"}]},
     "RetinaNet, TimmBackbone levit_128, FPN, DyHead"),
    ({"type": "FasterRCNN", "backbone": {"type": "Swin", "arch": {"depths": [2]}}, "neck": None},
     "Faster R-CNN, Swin"),
], ids=["nothing", "cascade", "two necks", "own sizes"])
def test_model_is_described_in_words(model: dict[str, Any], expected: str) -> None:
    assert describe_model(model) == expected


def test_plot_that_fails_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub = MessageHub("test_plot_that_fails")
    hub.update_scalar("train/loss", 1.0)
    runner: Any = SimpleNamespace(
        work_dir=str(tmp_path / "none"), iter=1, epoch=1, max_epochs=1, train_dataloader=[0],
        train_loop=None, message_hub=hub, logger=logging.getLogger("curves"))
    CurvesHook().after_train(runner)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "curves.png: not plotted" in caplog.text and caplog.text.count("\n") == 1
