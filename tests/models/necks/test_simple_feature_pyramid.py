"""SimpleFeaturePyramid: levels, equations of the paper, invalid arguments."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from timm.layers import LayerNorm2d

from detkit.config.infer.infer_fields import infer_fields
from detkit.errors import ConfigError
from detkit.models.necks import SimpleFeaturePyramid
from detkit.models.necks.simple_feature_pyramid import ChannelNorm
from detkit.registry import MODELS


def small(**changes: Any) -> SimpleFeaturePyramid:
    torch.manual_seed(0)
    neck = SimpleFeaturePyramid(**{"in_channels": [16], "out_channels": 8, **changes})
    neck.init_weights()
    return neck


@pytest.mark.parametrize("size, sides", [
    ((1, 1), [(4, 4), (2, 2), (1, 1), (1, 1), (1, 1)]),
    ((4, 6), [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]),
    # An image of 203 x 317 has 13 x 20 patches of 16.
    ((13, 20), [(52, 80), (26, 40), (13, 20), (7, 10), (4, 5)]),
], ids=["one patch", "even", "odd"])
def test_levels_double_and_halve_the_map(size: tuple[int, int], sides: list[Any]) -> None:
    neck = small()
    for batch in (0, 2):
        maps = neck((torch.randn(batch, 16, *size),))
        assert [tuple(level.shape) for level in maps] == [(batch, 8, *side) for side in sides]
        assert all(level.isfinite().all() for level in maps)


def test_each_level_matches_paper() -> None:
    # The level of scale 2: a transposed convolution of kernel and stride 2 is a matrix product for
    # each of 2 x 2 outputs of a position; then 1 x 1, norm, 3 x 3, norm.
    neck = small().eval()
    x = torch.randn(2, 16, 3, 5)
    up, conv1, norm, three, last = neck.levels[1]
    quarters = torch.einsum("bchw,cdij->bdhiwj", x, up.weight).reshape(2, 8, 6, 10)
    grown = quarters + up.bias[:, None, None]
    mixed = torch.einsum("bchw,dc->bdhw", grown, conv1.weight[:, :, 0, 0])
    timms = LayerNorm2d(8)
    expected = timms(torch.nn.functional.conv2d(timms(mixed), three.weight, padding=1))
    with torch.no_grad():
        torch.testing.assert_close(neck(x)[1], expected)
        # The level of scale 1/2 starts with 2 x 2 max pooling, partial at the border.
        pooled = torch.nn.functional.pad(x, (0, 1, 0, 1), value=-torch.inf)
        pooled = pooled.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2))
        torch.testing.assert_close(neck(x)[3], neck.levels[3][1:](pooled))
        assert torch.equal(neck(x)[4], neck(x)[3][..., ::2, ::2])
    assert isinstance(norm, ChannelNorm) and isinstance(last, ChannelNorm)


def test_parameter_count_matches_paper_for_vit_b() -> None:
    # 768 channels to 256. Up by 2: 768 x 384 x 4 + 384 = 1,180,032; again: 384 x 192 x 4 + 192 =
    # 295,104; norm between: 2 x 384 = 768. Each level ends in C x 256 (1 x 1), 256 x 256 x 9
    # (3 x 3), two norms 4 x 256: 590,848 + 256 C with C = 192, 384, 768, 768.
    # 2 x 1,180,032 + 295,104 + 768 + 4 x 590,848 + 256 x 2,112 = 5,560,000.
    neck = SimpleFeaturePyramid([768])
    assert sum(weight.numel() for weight in neck.parameters()) == 5_560_000


def test_channel_norm_matches_timm() -> None:
    channel_norm, timm_norm = ChannelNorm(6), LayerNorm2d(6)
    with torch.no_grad():
        for actual, other in zip(channel_norm.parameters(), timm_norm.parameters(), strict=True):
            other.copy_(actual.copy_(torch.randn(6)))
    x = torch.randn(2, 6, 3, 4)
    torch.testing.assert_close(channel_norm(x), timm_norm(x))


def test_norm_decay_mult_applies_to_channel_norm() -> None:
    neck = small()
    optimizer = build_optim_wrapper(neck, dict(
        optimizer=dict(type="SGD", lr=1.0, weight_decay=1.0),
        paramwise_cfg=dict(norm_decay_mult=0.0))).optimizer
    spared = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0
              for p in group["params"]}
    norms = [module for module in neck.modules() if isinstance(module, ChannelNorm)]
    # One between the two transposed convolutions of scale 4, and two at the end of each level.
    assert len(norms) == 9
    assert spared == {id(p) for norm in norms for p in norm.parameters()}


def test_backward_reaches_every_parameter() -> None:
    neck = small(in_channels=16, num_outs=4)
    sum((level**3).sum() for level in neck(torch.randn(1, 16, 5, 6))).backward()
    assert not [name for name, weight in neck.named_parameters() if weight.grad is None]


def test_copies_and_exports_give_the_same_maps() -> None:
    neck = small().eval()
    x = torch.randn(1, 16, 5, 6)
    with torch.no_grad():
        maps = neck((x,))
        for other in (copy.deepcopy(neck), pickle.loads(pickle.dumps(neck)),
                      torch.export.export(neck, ((x,),)).module()):
            torch.testing.assert_close(other((x,)), maps)


def test_other_scales_fit_other_patches() -> None:
    # Patches of 32, as in a ViT-B/32: strides 4, 8, 16, 32, 64.
    maps = small(scale_factors=(8, 4, 2, 1, 0.5))(torch.randn(1, 16, 2, 3))
    assert [level.shape[-1] for level in maps] == [24, 12, 6, 3, 2]
    quarter = small(scale_factors=(0.25,), num_outs=1)(torch.randn(1, 16, 9, 8))
    assert quarter[0].shape[-2:] == (3, 2)


def test_in_channels_are_inferred_from_backbone() -> None:
    model = dict(backbone=dict(type="TimmBackbone", name="test_vit", strides=None),
                 neck=dict(type="SimpleFeaturePyramid", out_channels=8))
    cfg = Config(dict(default_scope="detkit", model=model))
    infer_fields(cfg, None)
    assert cfg.model.neck.in_channels == [64]
    with DefaultScope.overwrite_default_scope("detkit"):
        neck = MODELS.build(cfg.model.neck)
        maps = neck(MODELS.build(cfg.model.backbone)(torch.randn(1, 3, 64, 96)))
    assert [96 // level.shape[-1] for level in maps] == [4, 8, 16, 32, 48]  # 96 / 64 = 1.5, so 2


@pytest.mark.parametrize("arguments, words", [
    (dict(in_channels=[8, 16]), "takes one map"),
    (dict(in_channels=[]), "one number"),
    (dict(in_channels=6), "multiple of 4"),
    (dict(scale_factors=(3, 1)), "powers of two"),
    (dict(scale_factors=(1, 2)), "descending"),
    (dict(scale_factors=()), "powers of two"),
    (dict(num_outs=3), "num_outs: got 3, expected a whole number from 4"),
    (dict(num_outs="5"), "num_outs: got '5'"),
    (dict(out_channels=0), "out_channels: got 0"),
    (dict(in_channels=None), "in_channels: got None"),
    (dict(in_channels=["16"]), "in_channels: got '16'"),
    (dict(scale_factors=4), "scale_factors: got 4"),
    (dict(scale_factors=("a",)), "descending powers of two"),
    (dict(scale_factors=([1],)), "descending powers of two"),
], ids=str)
def test_invalid_arguments_are_rejected_by_name(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"SimpleFeaturePyramid: .*{words}"):
        small(**arguments)


@pytest.mark.parametrize("number", [0, 2])
def test_wrong_number_of_maps_is_rejected(number: int) -> None:
    with pytest.raises(ConfigError, match=f"maps of the backbone: got {number}, expected one"):
        small(in_channels=16)([torch.randn(1, 16, 4, 4)] * number)
