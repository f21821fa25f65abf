"""DeformableFPN: initially an FPN, with the same names; offsets, export, invalid arguments."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from mmdet.models.necks import FPN
from mmengine.registry import DefaultScope
from torch import Tensor
from torchvision.ops import deform_conv2d

from detkit.config.validate.signatures import get_signature
from detkit.errors import ConfigError
from detkit.models.backbones import SwinTransformer
from detkit.models.layers.deform_conv import DeformConv2d
from detkit.models.necks import DeformableFPN
from detkit.registry import MODELS

CHANNELS = [4, 6, 8]
CASES: dict[str, dict[str, Any]] = {
    "as Faster R-CNN has it": dict(num_outs=4),
    "as RetinaNet has it": dict(num_outs=4, start_level=1, add_extra_convs="on_output"),
    "normed": dict(num_outs=3, norm_cfg=dict(type="BN"), act_cfg=dict(type="ReLU")),
    "not to the end": dict(num_outs=2, end_level=1),
}


def maps(batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    sizes = [(23, 30), (12, 15), (6, 8)]
    return [torch.randn(batch, c, *s, generator=generator) for c, s in zip(CHANNELS, sizes)]


def with_random_offsets(neck: DeformableFPN) -> DeformableFPN:
    generator = torch.Generator().manual_seed(8)
    for conv in neck.modules():
        if isinstance(conv, DeformConv2d):
            for tensor in conv.conv_offset.parameters():
                tensor.data.normal_(std=0.3, generator=generator)
    return neck


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("modulated", [False, True], ids=["v1", "v2"])
@pytest.mark.parametrize("case", CASES)
def test_fpn_weights_load_and_give_same_maps(case: str, modulated: bool, batch: int) -> None:
    plain_fpn = FPN(CHANNELS, 8, **CASES[case]).eval()
    plain_fpn.init_weights()
    neck_under_test = DeformableFPN(
        in_channels=CHANNELS, out_channels=8, modulated=modulated, deform_groups=2, **CASES[case]
    ).eval()
    missing, unknown = neck_under_test.load_state_dict(plain_fpn.state_dict(), strict=False)
    deformed = len(plain_fpn.lateral_convs)
    assert not unknown
    assert missing == [f"fpn_convs.{level}.conv.conv_offset.{name}"
                       for level in range(deformed) for name in ("weight", "bias")]
    # In float64, where the order of summation does not affect the first ten digits.
    inputs = [x.double() for x in maps(batch)]
    for first, second in zip(neck_under_test.double()(inputs),
                             plain_fpn.double()(inputs),
                             strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-10)


def test_init_weights_matches_fpn_with_zero_offsets() -> None:
    torch.manual_seed(0)
    neck = DeformableFPN(in_channels=CHANNELS, out_channels=64, num_outs=3)
    neck.init_weights()
    for module in neck.fpn_convs:
        assert not any(p.any() for p in module.conv.conv_offset.parameters())
        # Xavier, uniform: variance 2 / (fan in + fan out) = 2 / (2 * 64 * 9); no bias.
        assert module.conv.weight.var().item() == pytest.approx(2 / (2 * 64 * 9), rel=0.05)
        assert not module.conv.bias.any()


def test_init_cfg_checkpoint_is_loaded_with_offsets(tmp_path: Any) -> None:
    arguments = dict(in_channels=CHANNELS, out_channels=8, num_outs=3)
    trained = with_random_offsets(DeformableFPN(**arguments)).eval()
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "neck.pth")
    file = dict(type="Pretrained", checkpoint=str(tmp_path / "neck.pth"))
    with DefaultScope.overwrite_default_scope("detkit"):
        started = DeformableFPN(**arguments, init_cfg=file).eval()
        started.init_weights()
    for first, second in zip(started(maps()), trained(maps()), strict=True):
        assert torch.equal(first, second)


def test_offsets_are_zero_after_checkpoint_without_offsets(tmp_path: Any) -> None:
    arguments: dict[str, Any] = dict(in_channels=CHANNELS, out_channels=8, num_outs=3)
    plain_fpn = FPN(**arguments).eval()
    torch.save({"state_dict": plain_fpn.state_dict()}, tmp_path / "fpn.pth")
    steps = [dict(type="Pretrained", checkpoint=str(tmp_path / "fpn.pth")),
             dict(type="Kaiming", layer="Conv2d")]
    with DefaultScope.overwrite_default_scope("detkit"):
        neck_under_test = DeformableFPN(**arguments, init_cfg=steps).eval()
        neck_under_test.init_weights()
        assert neck_under_test.init_cfg == steps
    for first, second in zip(neck_under_test.double()([x.double() for x in maps()]),
                             plain_fpn.double()([x.double() for x in maps()]),
                             strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-10)


def test_nonzero_offsets_match_torchvision() -> None:
    neck = with_random_offsets(DeformableFPN(in_channels=[4], out_channels=4, num_outs=1)).eval()
    image = torch.randn(2, 4, 9, 9)
    lateral = neck.lateral_convs[0](image)
    conv = neck.fpn_convs[0].conv
    offset, mask = conv.conv_offset(lateral).split([18, 9], dim=1)
    expected = deform_conv2d(
        lateral, offset, conv.weight, conv.bias, padding=1, mask=2 * mask.sigmoid()
    )
    torch.testing.assert_close(neck([image])[0], expected)


def test_backward_reaches_every_parameter_at_the_first_step() -> None:
    neck = DeformableFPN(
        in_channels=CHANNELS, out_channels=8, num_outs=4, add_extra_convs="on_output"
    )
    neck.init_weights()
    sum((level**3).sum() for level in neck(maps())).backward()
    for name, parameter in neck.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_deformable_fpn_with_swin_at_odd_size() -> None:
    arch = dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
    backbone = SwinTransformer(arch)
    neck = DeformableFPN(
        in_channels=list(backbone.feature_channels), out_channels=8, num_outs=5)
    with torch.no_grad():
        levels = with_random_offsets(neck)(backbone(torch.randn(1, 3, 75, 101)))
    # ceil(75 / 4), ceil(101 / 4) and so on; the last takes every second pixel.
    assert [tuple(level.shape[2:]) for level in levels] == [
        (19, 26), (10, 13), (5, 7), (3, 4), (2, 2)]
    assert all(level.isfinite().all() for level in levels)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_gives_the_same_maps(copied: Any) -> None:
    neck = with_random_offsets(DeformableFPN(in_channels=CHANNELS, out_channels=8, num_outs=3))
    for first, second in zip(neck(maps()), copied(neck)(maps()), strict=True):
        assert torch.equal(first, second)


def test_torch_export_gives_the_same_maps() -> None:
    neck = with_random_offsets(DeformableFPN(in_channels=CHANNELS, out_channels=8,
                                             num_outs=4)).eval()
    with torch.no_grad():
        exported = torch.export.export(neck, (maps(),)).module()
        for first, second in zip(exported(maps()), neck(maps()), strict=True):
            torch.testing.assert_close(first, second)


def test_torch_compile_gives_the_same_maps_and_gradients() -> None:
    neck = with_random_offsets(DeformableFPN(in_channels=CHANNELS, out_channels=8, num_outs=3))
    compiled = torch.compile(neck, backend="aot_eager")
    gradients = []
    for model in (neck, compiled):
        neck.zero_grad()
        sum((level**2).sum() for level in model(maps())).backward()
        gradients.append([p.grad for p in neck.parameters()])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_signature_extends_fpn_by_two_arguments() -> None:
    neck_under_test, fpns = get_signature(DeformableFPN), get_signature(FPN)
    assert neck_under_test.closed
    assert neck_under_test.names == fpns.names | {"modulated", "deform_groups"}


def test_the_registry_builds_it() -> None:
    config = dict(type="DeformableFPN", in_channels=CHANNELS, out_channels=8, num_outs=3,
                  modulated=False)
    with DefaultScope.overwrite_default_scope("detkit"):
        neck = MODELS.build(config)
    assert isinstance(neck, DeformableFPN)
    assert neck.fpn_convs[0].conv.conv_offset.out_channels == 2 * 9


def test_invalid_arguments_are_rejected_by_name() -> None:
    arguments = dict(in_channels=CHANNELS, out_channels=8, num_outs=3)
    with pytest.raises(ConfigError, match="deform_groups: got 3"):
        DeformableFPN(deform_groups=3, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="conv_cfg: got Conv2dAdaptivePadding"):
        DeformableFPN(conv_cfg=dict(type="Conv2dAdaptivePadding"), **arguments)


@pytest.mark.parametrize("arguments, words", [
    (dict(num_outs=1), "num_outs: got 1, expected a whole number from 3"),
    (dict(num_outs="3"), "num_outs: got '3'"),
    (dict(end_level=1), "num_outs: got 3, expected a whole number from 2 to 2"),
    (dict(end_level=3), "end_level: got 3, expected a whole number from 0 to 2"),
    (dict(start_level=3), "start_level: got 3"),
    (dict(in_channels=8), "in_channels: got 8, expected a list"),
    (dict(in_channels=[8, 0]), r"in_channels: got \[8, 0\]"),
    (dict(out_channels=0), "out_channels: got 0"),
    (dict(add_extra_convs="on_top"), "add_extra_convs: got 'on_top'"),
], ids=str)
def test_invalid_levels_are_rejected_by_name(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"^DeformableFPN: {words}"):
        DeformableFPN(**{"in_channels": CHANNELS, "out_channels": 8, "num_outs": 3, **arguments})


def test_in_channels_may_be_tuple() -> None:
    assert len(DeformableFPN(in_channels=(4, 6), out_channels=8, num_outs=2)(maps()[:2])) == 2
