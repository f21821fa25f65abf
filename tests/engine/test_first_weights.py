"""What a model begins with: fetched, or one sentence that says how to do without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from detkit.checkpoints.mmengine_loaders import register_checkpoint_loaders
from detkit.engine.run import train
from detkit.errors import WeightsError

PLACE = "model.backbone.init_cfg"
# Port 9 of this machine: nobody listens there.
NOBODY = "http://127.0.0.1:9/resnet.pth"


@pytest.mark.parametrize("checkpoint", [NOBODY, "gone/resnet.pth", __file__],
                         ids=["address", "no-file", "no-checkpoint"])
def test_missing_pretrained_weights_error_is_one_line(
    checkpoint: str, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    options = {f"{PLACE}.type": "Pretrained", f"{PLACE}.checkpoint": checkpoint}
    with pytest.raises(WeightsError, match="path of a local file") as caught:
        train(tiny_config, work_dir=tmp_path / "work", options=options, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_resumed_run_asks_for_no_weights_but_its_own(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    short = {"train_cfg.max_epochs": 1, "param_scheduler.1.end": 1}
    train(tiny_config, work_dir=tmp_path / "work", options=short, device="cpu")
    first = torch.load(tmp_path / "work" / "epoch_1.pth", weights_only=False)["state_dict"]
    options = {f"{PLACE}.type": "Pretrained", f"{PLACE}.checkpoint": NOBODY,
               "train_cfg.max_epochs": 2, "optim_wrapper.optimizer.lr": 0.0}
    train(tiny_config, work_dir=tmp_path / "work", options=options, resume=True, device="cpu")
    second = torch.load(tmp_path / "work" / "epoch_2.pth", weights_only=False)["state_dict"]
    assert first.keys() == second.keys()


def test_mmengine_checkpoint_loader_is_limited_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmengine.runner.checkpoint import CheckpointLoader

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(CheckpointLoader, "_schemes", CheckpointLoader._schemes)
    register_checkpoint_loaders()
    torch.save({"a": torch.ones(2)}, tmp_path / "good.pth")
    assert CheckpointLoader.load_checkpoint(str(tmp_path / "good.pth"))["a"].tolist() == [1, 1]
    torch.save({"a": torch.ones(1).expand(1000, 1000, 1000)}, tmp_path / "large.pth")
    for name, words in ((str(tmp_path / "large.pth"), "has a storage of 4"),
                        (NOBODY, "could not be downloaded"),
                        ("torchvision://no_such_network", "no weights are published")):
        with pytest.raises(OSError, match=words):
            CheckpointLoader.load_checkpoint(name)
