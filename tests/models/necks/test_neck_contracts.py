"""Contract tests of every registered neck."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from detkit.models import necks
from detkit.registry import MODELS

CHANNELS = (8, 16, 24, 32)
CASES: dict[str, dict[str, Any]] = {
    "fpn": dict(type="FPN", in_channels=list(CHANNELS), out_channels=16, num_outs=5),
    "deformable": dict(type="DeformableFPN", in_channels=list(CHANNELS), out_channels=16,
                       num_outs=5),
    "bifpn": dict(type="BiFPN", in_channels=list(CHANNELS), out_channels=16, num_layers=2,
                  num_outs=5),
    "finer": dict(type="FinerFPN", in_channels=list(CHANNELS[2:]), out_channels=16, num_finer=2,
                  num_outs=5),
    "simple": dict(type="SimpleFeaturePyramid", in_channels=[CHANNELS[2]], out_channels=16,
                   num_outs=5),
}
NAMES = list(CASES)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("detkit"):
        neck: nn.Module = MODELS.build(CASES[name])
    neck.init_weights()  # type: ignore[operator]
    return neck


def maps(name: str, batch: int = 2, height: int = 75, width: int = 106) -> list[Tensor]:
    """Feature maps for an image size: strides 4 to 32, sizes rounded up."""
    torch.manual_seed(1)
    feature_maps = [
        torch.randn(batch, channels, -(-height // stride), -(-width // stride))
        for channels, stride in zip(CHANNELS, (4, 8, 16, 32))
    ]
    return {"simple": feature_maps[2:3], "finer": feature_maps[2:]}.get(name, feature_maps)


def loss(levels: tuple[Tensor, ...]) -> Tensor:
    return torch.stack([(level**3).mean() for level in levels]).sum()


def test_all_registered_necks_are_covered() -> None:
    registered = {name for name, neck_type in MODELS.module_dict.items()
                  if neck_type.__module__.startswith("detkit.models.necks.")}
    assert registered == set(necks.__all__)
    assert registered | {"FPN"} == {case["type"] for case in CASES.values()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(64, 96), (75, 106), (203, 317)], ids=str)
def test_levels_are_finite_and_have_their_strides(name: str, size: tuple[int, int]) -> None:
    neck = build(name).eval()
    inputs = maps(name, 1, *size)
    with torch.no_grad():
        levels = neck(inputs)
    assert len(levels) == 5
    height, width = size
    if name in ("simple", "finer"):  # from cells of 16 pixels: partial ones count as whole ones
        height, width = -(-height // 16) * 16, -(-width // 16) * 16
    for level, stride in zip(levels, (4, 8, 16, 32, 64)):
        assert level.shape == (1, 16, -(-height // stride), -(-width // stride))
        assert level.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_backward_reaches_every_parameter_and_every_map(name: str) -> None:
    neck = build(name).train()
    inputs = [level.requires_grad_() for level in maps(name)]
    loss(neck(inputs)).backward()
    for key, parameter in neck.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key
    assert all(level.grad is not None and level.grad.abs().sum() > 0 for level in inputs)


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_channels_last_give_the_same_levels(name: str) -> None:
    neck = build(name).train()
    loss(neck(maps(name))).backward()
    neck.eval()
    last = copy.deepcopy(neck).to(memory_format=torch.channels_last)
    inputs = maps(name)
    with torch.no_grad():
        expected = neck(inputs)
        for other in (copy.deepcopy(neck), pickle.loads(pickle.dumps(neck))):
            assert all(map(torch.equal, expected, other(inputs)))
        turned = last([x.contiguous(memory_format=torch.channels_last) for x in inputs])
        for first, second in zip(expected, turned, strict=True):
            torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_exported_and_traced_neck_gives_same_levels(name: str) -> None:
    neck = build(name).eval()
    inputs = maps(name)
    torch._dynamo.reset()
    with torch.no_grad():
        expected = neck(inputs)
        exported = torch.export.export(neck, (inputs,)).module()
        for other in (exported, torch.compile(neck, backend="aot_eager")):
            for first, second in zip(expected, other(inputs), strict=True):
                torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)
