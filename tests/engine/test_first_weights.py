"""Initial weights: missing files and failed downloads give one-line errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from detkit.checkpoints.mmengine_loaders import register_checkpoint_loaders
from detkit.engine.run import train
from detkit.errors import WeightsError

INIT_CFG = "model.backbone.init_cfg"
# No server listens on port 9.
UNREACHABLE_URL = "http://127.0.0.1:9/resnet.pth"


@pytest.mark.parametrize("checkpoint", [UNREACHABLE_URL, "gone/resnet.pth", __file__],
                         ids=["address", "no-file", "no-checkpoint"])
def test_missing_pretrained_weights_error_is_one_line(
    checkpoint: str, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    options = {f"{INIT_CFG}.type": "Pretrained", f"{INIT_CFG}.checkpoint": checkpoint}
    with pytest.raises(WeightsError, match="could not load the initial weights") as caught:
        train(tiny_config, work_dir=tmp_path / "work", options=options, device="cpu")
    assert "\n" not in str(caught.value)


def test_resumed_run_does_not_load_initial_weights(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    short = {"train_cfg.max_epochs": 1, "param_scheduler.1.end": 1}
    train(tiny_config, work_dir=tmp_path / "work", options=short, device="cpu")
    first = torch.load(tmp_path / "work" / "epoch_1.pth", weights_only=False)["state_dict"]
    options = {f"{INIT_CFG}.type": "Pretrained", f"{INIT_CFG}.checkpoint": UNREACHABLE_URL,
               "train_cfg.max_epochs": 2, "optim_wrapper.optimizer.lr": 0.0}
    train(tiny_config, work_dir=tmp_path / "work", options=options, resume=True, device="cpu")
    second = torch.load(tmp_path / "work" / "epoch_2.pth", weights_only=False)["state_dict"]
    assert first.keys() == second.keys()


def test_mmengine_checkpoint_loader_rejects_unsafe_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmengine.runner.checkpoint import CheckpointLoader

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(CheckpointLoader, "_schemes", CheckpointLoader._schemes)
    register_checkpoint_loaders()
    torch.save({"a": torch.ones(2)}, tmp_path / "good.pth")
    assert CheckpointLoader.load_checkpoint(str(tmp_path / "good.pth"))["a"].tolist() == [1, 1]
    torch.save({"a": torch.ones(1).expand(1000, 1000, 1000)}, tmp_path / "large.pth")
    for name, message in ((str(tmp_path / "large.pth"), "with a storage of 4"),
                          (UNREACHABLE_URL, "could not be downloaded"),
                          ("torchvision://no_such_network", "no weights are published")):
        with pytest.raises(OSError, match=message):
            CheckpointLoader.load_checkpoint(name)
