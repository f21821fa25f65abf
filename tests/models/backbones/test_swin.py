"""Swin: arguments, shapes, masks, freezing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.registry import DefaultScope

from detkit.errors import ConfigError
from detkit.models.backbones import SwinTransformer
from detkit.models.backbones.swin.window_attention import WindowAttention, window_mask
from detkit.models.layers.drop_path import DropPath
from detkit.registry import MODELS

SMALL: dict[str, Any] = dict(
    arch=dict(embed_dims=8, depths=(2, 2), num_heads=(1, 2), window_size=3, drop_path_rate=0.0)
)


def small(**changes: Any) -> SwinTransformer:
    torch.manual_seed(0)
    model = SwinTransformer(**{**SMALL, "out_indices": (0, 1), **changes})
    model.init_weights()
    return model


@pytest.mark.parametrize("arch", ["micro", "tiny", "small", "base", "large"])
def test_feature_info_matches_output_maps(arch: str) -> None:
    channels, strides = SwinTransformer.feature_info(arch=arch, out_indices=(0, 2), with_cp=True)
    model = SwinTransformer(arch, depths=(1, 1, 1, 1), out_indices=(0, 2))
    assert (model.feature_channels, model.feature_strides) == (channels, strides)
    height, width = 45, 67
    with torch.no_grad():
        maps = model(torch.randn(1, 3, height, width))
    for level, channel, stride in zip(maps, channels, strides, strict=True):
        assert level.shape == (1, channel, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize(
    "shape",
    [(0, 3, 64, 64), (1, 3, 1, 1), (1, 3, 203, 317), (2, 3, 35, 32), (3, 3, 24, 96)],
    ids=["no image", "one pixel", "odd", "barely odd", "flat"],
)
@pytest.mark.parametrize("arch", ["micro", SMALL["arch"]], ids=["micro", "small"])
def test_any_size_gives_finite_maps_rounded_up(arch: Any, shape: tuple[int, ...]) -> None:
    model = SwinTransformer(arch, out_indices=(0, 1))
    for enabled in (False, True):
        with torch.set_grad_enabled(enabled):
            maps = model(torch.randn(shape))
        for level, channel, stride in zip(maps, model.feature_channels, model.feature_strides):
            expected = (shape[0], channel, -(-shape[2] // stride), -(-shape[3] // stride))
            assert level.shape == expected
            assert level.isfinite().all()


# The papers include the classifier: + 768 x 1000 + 1000 and so on. arXiv 2103.14030, table 1.
@pytest.mark.parametrize(
    "arch, millions", [("tiny", 28.3), ("small", 49.6), ("base", 87.8), ("large", 196.5)]
)
def test_parameter_counts_match_published(arch: str, millions: float) -> None:
    with torch.device("meta"):
        model = SwinTransformer(arch)
    ours_alone = ("norm0.", "norm1.", "norm2.")
    stages = [p for name, p in model.named_parameters() if not name.startswith(ours_alone)]
    width = model.feature_channels[-1]
    count = sum(p.numel() for p in stages) + width * 1000 + 1000
    assert abs(count / 1e6 - millions) < 0.06


def test_frozen_stages_zero_freezes_stem_only() -> None:
    model = small(frozen_stages=0)
    still = {name.split(".")[0] for name, p in model.named_parameters() if not p.requires_grad}
    assert still == {"patch_embed"}


def test_state_dict_has_parameters_only() -> None:
    model = small()
    model(torch.randn(1, 3, 32, 32))
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("shift", [0, 1])
def test_mask_padding_makes_maps_independent_of_padding(shift: int) -> None:
    # 5 x 7 tokens in windows of 3 need padding. Real tokens have value 1 and padding 0, and all
    # logits are 0: the output is the fraction of real tokens among the attended ones.
    attention = WindowAttention(2, 1, 3, shift, qkv_bias=False)
    with torch.no_grad():
        attention.qkv.weight.zero_()
        attention.qkv.weight[4:] = torch.eye(2)  # value = token
        attention.proj.weight.copy_(torch.eye(2))
        attention.proj.bias.zero_()
    ones = torch.ones(1, 5, 7, 2)
    for grad_enabled in (False, True):
        with torch.set_grad_enabled(grad_enabled):
            masked = attention(ones, window_mask(5, 7, 3, shift, mask_padding=True))
            output = attention(ones, window_mask(5, 7, 3, shift))
        torch.testing.assert_close(masked, ones)
        # Padded to 6 x 9. Unshifted, the last window has rows 3 to 5 and columns 6 to 8: 2 of
        # its 9 tokens are real. Shifted by 1, token (4, 6) is in the window of rows 4 to 6
        # and columns 4 to 6 (row 6 is row 0, which is masked): of rows 4 and 5 row 4 is real.
        share = 2 / 9 if shift == 0 else 3 / 6
        torch.testing.assert_close(output[0, 4, 6], torch.full((2,), share))


def test_window_mask_blocks_attention_across_rolled_edges() -> None:
    # A map of 4 x 4, windows of 2, shift 1. After the roll, the last window has the tokens
    # (3, 3), (3, 0), (0, 3), (0, 0): the four corners, which must not attend to each other.
    mask = window_mask(4, 4, 2, 1)
    assert mask is not None and mask.shape == (4, 1, 4, 4)
    assert torch.equal(mask[0, 0], torch.zeros(4, 4))
    assert torch.equal(mask[3, 0] == 0, torch.eye(4, dtype=torch.bool))
    # Upper right: columns 3 and 0, rows 1 and 2. Vertical neighbors
    # attend to each other, the two ends of a row do not.
    across = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]).bool()
    assert torch.equal(mask[1, 0] == 0, across)


def test_no_mask_where_one_window_covers_the_map() -> None:
    assert window_mask(3, 2, 3, 1) is None
    assert window_mask(9, 9, 3, 0, mask_padding=True) is None


def test_drop_path_keeps_the_expectation_and_drops_whole_images() -> None:
    torch.manual_seed(0)
    out = DropPath(0.25).train()(torch.ones(20000, 2, 2))
    kept = out.flatten(1).sum(1)
    assert kept.unique().tolist() == pytest.approx([0.0, 4 / 0.75])
    # Standard error of the mean: sqrt(0.25 * 0.75) / 0.75 / sqrt(20000) = 0.004.
    assert abs(out.mean().item() - 1) < 0.02
    assert DropPath(0.25).eval()(torch.ones(1)).item() == 1.0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(arch="tinny"), "did you mean 'tiny'"),
        (dict(arch=dict(embed_dim=96)), "did you mean 'embed_dims'"),
        (dict(arch=dict(depths=(2, 2))), "num_heads"),
        (dict(embed_dims=50), "50 channels, 3 heads"),
        (dict(stem="convolution"), "'patch' or 'conv'"),
        (dict(out_indices=()), "out_indices"),
        (dict(out_indices=(0, 4)), "0 to 3"),
        (dict(out_indices=(2, 1)), "ascending"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_invalid_arguments_are_rejected_by_name(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        SwinTransformer(**arguments)


@pytest.mark.parametrize("arguments", [
    {"window_size": 0}, {"embed_dims": 0}, {"depths": (0, 2)}, {"depths": 2}, {"num_heads": (0, 1)},
    {"mlp_ratio": 0}, {"drop_path_rate": 1.0}, {"frozen_stages": 3}, {"out_indices": 1},
], ids=str)
def test_invalid_numbers_are_rejected_by_name(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"Swin: {next(iter(arguments))}: got"):
        small(**arguments)


def test_mmdet_arguments_build_detkit_swin() -> None:
    config = dict(
        type="SwinTransformer",
        embed_dims=8,
        depths=[1, 1],
        num_heads=[1, 2],
        window_size=7,
        mlp_ratio=4,
        qkv_bias=True,
        qk_scale=None,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        drop_path_rate=0.2,
        patch_norm=True,
        out_indices=(0, 1),
        with_cp=False,
        convert_weights=True,
        init_cfg=None,
    )
    # whatever scope another test has set
    with DefaultScope.overwrite_default_scope("detkit"):
        model = MODELS.build(config)
    assert isinstance(model, SwinTransformer)
