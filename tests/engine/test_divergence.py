"""A training that diverges ends with a one-line error and keeps its checkpoints."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import tiny_classifier
import tiny_training
import torch
from mmengine.hooks import Hook

from detkit.checkpoints.publish_model import publish_model
from detkit.cli.main import run_command
from detkit.engine.load_model import load_model
from detkit.engine.run import TrainResult, train
from detkit.errors import DivergedError, WeightsError
from detkit.registry import HOOKS

NO_SCHEDULE = {"param_scheduler": []}
SGD = {**NO_SCHEDULE, "optim_wrapper.optimizer.type": "SGD", "optim_wrapper.optimizer.lr": 1e30}
ADAMW = {**NO_SCHEDULE, "optim_wrapper.optimizer.lr": 1e6}


@HOOKS.register_module()
class SetWeightsToNaN(Hook):  # type: ignore[misc]
    """Set one weight of the model, or of its average, to NaN after the iteration ``at``."""

    def __init__(self, at: int, averaged: bool = False) -> None:
        self.at, self.averaged = at, averaged

    priority = "LOW"

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter + 1 != self.at:
            return
        model = runner.model
        if self.averaged:
            model = next(h.ema_model for h in runner.hooks if hasattr(h, "ema_model")).module
        next(model.parameters()).data[0] = math.nan


@pytest.mark.parametrize(
    ("options", "amp", "iteration"),
    [
        # The gradients of the first step are finite; its update overflows.
        (SGD, False, 2),
        ({**SGD, "optim_wrapper.clip_grad": None}, False, 2),
        (ADAMW, False, 2),
        (ADAMW, True, 2),
        # Gradients are accumulated over two batches: the weights change after the second.
        ({**ADAMW, "optim_wrapper.accumulative_counts": 2}, False, 3),
    ],
    ids=["SGD 1e30", "SGD 1e30 without clipping", "AdamW 1e6", "bfloat16", "accumulated"],
)
def test_too_high_learning_rate_ends_training_at_the_first_step(
    tiny_config: Path, tmp_path: Path, options: dict, amp: bool, iteration: int
) -> None:
    with pytest.raises(DivergedError) as caught:
        train(tiny_config, work_dir=tmp_path / "work", options=options, amp=amp, device="cpu")
    line = str(caught.value)
    assert "\n" not in line
    assert f"iteration {iteration} (epoch 1)" in line and "loss" in line
    assert line.count(".png") == 2 and "no checkpoint was written" in line
    assert f"{options['optim_wrapper.optimizer.lr']:g}" in line
    assert ("clip_grad.max_norm" in line) == ("optim_wrapper.clip_grad" in options)
    assert ("--amp" in line) == amp
    assert not list((tmp_path / "work").glob("*.pth"))


def test_diverged_command_exits_with_2_and_one_line(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command("train", [
        str(tiny_config), "--work-dir",
        str(tmp_path / "work"), "--device", "cpu", "--cfg-options",
        "optim_wrapper.optimizer.lr=1e6", "param_scheduler=[]"
    ])
    streams = capsys.readouterr()
    assert code == 2 and "Traceback" not in streams.err
    assert streams.err.splitlines()[-1].startswith("error: training ended at iteration 2")


def test_classifier_divergence_ends_training(tmp_path: Path) -> None:
    data = tiny_classifier.write_images(tmp_path / "data")
    config = tiny_classifier.write_config(tmp_path, data)
    with pytest.raises(DivergedError, match=r"iteration 2 .*loss = nan.*0\.png"):
        train(config, work_dir=tmp_path / "work", options=ADAMW, device="cpu")


def test_nonfinite_preprocessed_images_are_named_as_the_cause(
    tiny_config: Path, tmp_path: Path
) -> None:
    with pytest.raises(DivergedError, match="iteration 1 .*data_preprocessor.mean and std"):
        train(tiny_config, work_dir=tmp_path / "work", device="cpu",
              options={"model.data_preprocessor.std": [0, 0, 0]})


def _checkpoints(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


def test_last_good_checkpoint_is_kept_and_named(tiny_config: Path, tmp_path: Path) -> None:
    # From the second epoch on the learning rate is 1e9; one checkpoint is kept at a time.
    options = {"default_hooks.checkpoint.max_keep_ckpts": 1, "custom_hooks": [],
               "param_scheduler": [dict(type="StepLR", step_size=1, gamma=1e12, by_epoch=True)]}
    work = tmp_path / "work"
    with pytest.raises(DivergedError, match=r"\(epoch 2\).*epoch_1\.pth"):
        train(tiny_config, work_dir=work, options=options, device="cpu")
    assert "epoch_1.pth" in _checkpoints(work)
    assert _checkpoints(work) <= {"epoch_1.pth", "best_coco_bbox_mAP_epoch_1.pth"}
    assert (work / "last_checkpoint").read_text().endswith("epoch_1.pth")
    load_model(work / "epoch_1.pth", "cpu")


@pytest.mark.parametrize("averaged", [False, True], ids=["weights", "averaged weights"])
@pytest.mark.parametrize("interval", [1, 5], ids=["at the checkpoint", "before the validation"])
def test_nonfinite_weights_replace_no_checkpoint(
    tiny_config: Path, tmp_path: Path, averaged: bool, interval: int
) -> None:
    work = tmp_path / "work"
    hooks = [dict(type="EMAHook", momentum=0.2),
             dict(type="SetWeightsToNaN", at=6, averaged=averaged)]
    options = {"default_hooks.checkpoint.max_keep_ckpts": 1, "custom_hooks": hooks,
               "default_hooks.checkpoint.interval": interval}
    with pytest.raises(DivergedError, match=r"iteration 6 \(epoch 2\).*conv1.weight") as caught:
        train(tiny_config, work_dir=work, options=options, device="cpu")
    assert ("averaged" in str(caught.value)) == averaged
    kept = {"epoch_1.pth"} if interval == 1 else set()
    assert kept <= _checkpoints(work) <= kept | {"best_coco_bbox_mAP_epoch_1.pth"}


@pytest.fixture(scope="module")
def diverged_run(tmp_path_factory: pytest.TempPathFactory,
                 tiny_data: Path) -> tuple[Path, TrainResult]:
    """A config, and its run of one epoch, with a NaN weight in epoch_1.pth."""
    folder = tmp_path_factory.mktemp("spoilt")
    config = tiny_training.write_config(folder, tiny_data)
    result = train(config, work_dir=folder / "work", device="cpu", options={
        "train_cfg.max_epochs": 1, "param_scheduler": [], "custom_hooks": [],
        "test_cfg": None, "test_dataloader": None, "test_evaluator": None})
    file = result.work_dir / "epoch_1.pth"
    content = torch.load(file, weights_only=True)
    content["state_dict"]["backbone.conv1.weight"][0, 0, 0, 0] = math.nan
    torch.save(content, file)
    return config, result


def test_nonfinite_checkpoint_is_not_resumed_loaded_or_published(
    diverged_run: tuple[Path, TrainResult], tmp_path: Path
) -> None:
    config, result = diverged_run
    file = result.work_dir / "epoch_1.pth"
    named = r"epoch_1\.pth.*not finite.*backbone\.conv1\.weight"
    with pytest.raises(WeightsError, match=named):
        train(config, work_dir=result.work_dir, resume=True, device="cpu")
    with pytest.raises(WeightsError, match=named):
        train(config, work_dir=tmp_path / "a", options={"load_from": str(file)}, device="cpu")
    with pytest.raises(WeightsError, match=named.replace(r"backbone\.conv1", ".*conv1")):
        train(config, work_dir=tmp_path / "b", backbone_from=file, device="cpu")
    with pytest.raises(WeightsError, match=named):
        load_model(file, "cpu")
    with pytest.raises(WeightsError, match=named):
        publish_model(file, tmp_path)
    assert not (tmp_path / "best.pth").exists()
