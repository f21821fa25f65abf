"""Weights of timm's tf_ models: told from their twins by what the file says, or warned about."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from mmengine.logging import MMLogger
from safetensors.torch import save_file

from detkit.errors import WeightsError
from detkit.models.backbones import EfficientNet, TimmBackbone
from detkit.models.weights.backbone_weights import load_backbone_weights
from detkit.models.weights.source_arch import find_source_arch

State = dict[str, torch.Tensor]


@pytest.mark.parametrize(("origin", "content", "name", "is_certain"), [
    (None, {}, None, None),
    ("weights.pth", {"arch": "resnet50"}, None, None),
    (None, {"arch": "tf_efficientnet_b0"}, "tf_efficientnet_b0", True),
    ("tf_efficientnet_b0.pth", {"arch": "efficientnet_b0"}, "efficientnet_b0", True),
    ("a.pth", {"pretrained_cfg": {"architecture": "tf_mixnet_s"}}, "tf_mixnet_s", True),
    ("a.pth", {"pretrained_cfg": "[", "arch": 3}, None, None),
    # Names of timm's releases and of the hub's cache.
    ("https://host/v0.1/tf_efficientnet_b0_ns-c0e6a31c.pth?download=1", {},
     "tf_efficientnet_b0_ns", True),
    ("efficientnet_b0_ra-3dd342df.pth", {}, "efficientnet_b0_ra", False),
    ("hub/models--timm--tf_efficientnetv2_b0.in1k/snapshots/0ab1/model.safetensors", {},
     "tf_efficientnetv2_b0", True),
    ("my_tf_mobilenetv3_large_100.pth", {}, "tf_mobilenetv3_large_100", True),
    # lukemelas' and other names; a folder says nothing of a file with a name of its own.
    ("efficientnet-lite0-57934424.pth", {}, None, None),
    ("tf_efficientnet_b0/best.pth", {}, None, None),
    ("notf_resnet.pth", {}, None, None),
], ids=str)
def test_network_that_a_file_says_it_holds(
    origin: str | None, content: dict[str, Any], name: str | None, is_certain: bool | None
) -> None:
    source = find_source_arch(origin, content)
    assert (source and source.name) == name
    assert (source and source.is_certain) == is_certain


def test_config_and_metadata_beside_the_tensors_are_read(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1)}, file, {"architecture": "tf_efficientnet_b1"})
    source = find_source_arch(str(file), {})
    assert source is not None and source.evidence == "'architecture' in its metadata"
    save_file({"a": torch.ones(1)}, file)
    assert find_source_arch(str(file), {}) is None
    config = tmp_path / "config.json"
    for text, name in (("{", None), ("[]", None), (json.dumps(
            {"architecture": "tf_efficientnet_b2"}), "tf_efficientnet_b2")):
        config.write_text(text)
        found = find_source_arch(str(file), {})
        assert (found and found.name) == name


@pytest.fixture(scope="module")
def lite0() -> State:
    torch.manual_seed(0)
    return dict(timm.create_model("tf_efficientnet_lite0").state_dict())


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """mmengine's log, which does not propagate."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(("file", "padding", "error", "warning"), [
    ("tf_efficientnet_lite0-0aa007d2.pth", "symmetric",
     "its file name says tf_efficientnet_lite0, .*got a backbone with padding='symmetric', "
     "norm_eps=1e-05, expected padding='same', norm_eps=0.001", None),
    ("tf_efficientnet_lite0-0aa007d2.pth", "same", None, None),
    ("efficientnet_lite0_ra-37913777.pth", "same", None,
     "its file name is that of timm's efficientnet_lite0_ra, whose weights need "
     "padding='symmetric', norm_eps=1e-05; this backbone has padding='same', norm_eps=0.001"),
    ("efficientnet_lite0_ra-37913777.pth", "symmetric", None, None),
    ("mine.pth", "symmetric", None,
     "weights of a tf_ model need padding='same', norm_eps=0.001, of any other "
     "padding='symmetric', norm_eps=1e-05; this backbone has padding='symmetric'"),
], ids=["tf, wrong", "tf, right", "other, wrong", "other, right", "unknown"])
def test_padding_of_efficientnet_is_compared_with_the_file(
    file: str, padding: str, error: str | None, warning: str | None, lite0: State, tmp_path: Path,
    log: pytest.LogCaptureFixture
) -> None:
    torch.save(lite0, tmp_path / file)
    model = EfficientNet("lite0", padding=padding)
    before = model.stem.conv.weight.clone()
    if error is not None:
        with pytest.raises(WeightsError, match=error):
            load_backbone_weights(model, tmp_path / file)
        assert torch.equal(model.stem.conv.weight, before)
        return
    load_backbone_weights(model, tmp_path / file)
    assert torch.equal(model.stem.conv.weight, lite0["conv_stem.weight"])
    messages = warnings_of(log)
    assert len(messages) == (warning is not None)
    assert warning is None or warning in messages[0]


def test_twin_of_a_model_of_timm_is_rejected_or_warned_about(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    name = "efficientnet_lite0"
    state = timm.create_model(f"tf_{name}").state_dict()
    model, twin = TimmBackbone(name), TimmBackbone(f"tf_{name}")
    told = {"arch": f"tf_{name}", "state_dict": state}
    with pytest.raises(WeightsError, match="its 'arch' says tf_efficientnet_lite0, .*got "
                       "efficientnet_lite0, with symmetric padding.*name='tf_efficientnet_lite0'"):
        load_backbone_weights(model, told)
    with pytest.raises(WeightsError, match="says efficientnet_lite0,"):
        load_backbone_weights(twin, {**told, "arch": name})
    load_backbone_weights(twin, told)
    load_backbone_weights(TimmBackbone(name, pad_type="same", bn_eps=1e-3), told)
    load_backbone_weights(model, {**told, "arch": name})
    assert not warnings_of(log)
    load_backbone_weights(model, state)
    torch.save(state, tmp_path / f"{name}.pth")
    load_backbone_weights(twin, tmp_path / f"{name}.pth")
    first, second = warnings_of(log)
    assert "does not tell whether it holds efficientnet_lite0 or tf_efficientnet_lite0" in first
    assert "its file name is that of efficientnet_lite0" in second
    # Files of this class, and models without a twin, are of one kind.
    log.clear()
    load_backbone_weights(model, model.state_dict())
    without_twin = timm.create_model("test_resnet").state_dict()
    load_backbone_weights(TimmBackbone("test_resnet"), without_twin)
    assert not warnings_of(log)
