"""EfficientNet: arguments, shapes, freezing, initialization."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from efficientnet_models import make_image
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from detkit.errors import ConfigError
from detkit.models.backbones import EfficientNet
from detkit.models.backbones.efficientnet.archs import ARCHS
from detkit.registry import MODELS

# Both block types, with and without expansion and residual; two stages.
SMALL: dict[str, Any] = dict(
    arch=dict(
        groups=[
            ["fused", 3, 1, 1, 8, 2, 0], ["fused", 3, 2, 2, 16, 2, 0],
            ["mbconv", 3, 1, 1, 16, 1], ["mbconv", 5, 2, 4, 24, 2],
        ],
        stem_channels=8, head_channels=32, drop_path_rate=0.0,
    ),
    out_indices=(0, 1),
)


def small(**changes: Any) -> EfficientNet:
    torch.manual_seed(0)
    model = EfficientNet(**{**SMALL, **changes})
    model.init_weights()
    return model


def small_with_statistics(**changes: Any) -> EfficientNet:
    """Build a model in eval mode, with running statistics other than the initial ones."""
    model = small(**changes).eval()
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = 0.2 * torch.randn(module.num_features, generator=generator)
            module.running_var = 0.5 + torch.rand(module.num_features, generator=generator)
    return model


@pytest.mark.parametrize("arch", ARCHS)
def test_feature_info_matches_output_maps(arch: str) -> None:
    arguments: dict[str, Any] = dict(arch=arch, out_indices=(0, 2, 3), head_conv=True)
    channels, strides = EfficientNet.feature_info(**arguments, with_cp=True)
    with torch.device("meta"):
        model = EfficientNet(**arguments).eval()
        assert (model.feature_channels, model.feature_strides) == (channels, strides)
        with torch.no_grad():
            maps = model(torch.empty(1, 3, 203, 317))
    for level, channel, stride in zip(maps, channels, strides, strict=True):
        assert level.shape == (1, channel, -(-203 // stride), -(-317 // stride))


@pytest.mark.parametrize(
    "shape",
    [(0, 3, 64, 64), (1, 3, 1, 1), (1, 3, 203, 117), (2, 3, 35, 32), (3, 3, 24, 96)],
    ids=["no image", "one pixel", "odd", "barely odd", "flat"],
)
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_any_size_gives_finite_maps_rounded_up(padding: str, shape: tuple[int, ...]) -> None:
    model = EfficientNet("micro", padding=padding).eval()
    for enabled in (False, True):
        with torch.set_grad_enabled(enabled):
            maps = model(torch.randn(shape))
        for level, channel, stride in zip(maps, model.feature_channels, model.feature_strides):
            expected = (shape[0], channel, -(-shape[2] // stride), -(-shape[3] // stride))
            assert level.shape == expected
            assert level.isfinite().all()


def test_micro_arch_has_fewer_parameters_than_lite0() -> None:
    # Lite0 as a backbone: 4,652,008 of timm's classifier, without 1280 x 1000 + 1000 and
    # 1280 x 320 + 2 x 1280 of the layers after the last stage.
    lite0 = 4_652_008 - 1_281_000 - 412_160
    counts = {name: sum(p.numel() for p in EfficientNet(name).parameters())
              for name in ("lite0", "micro")}
    assert counts["micro"] < counts["lite0"] == lite0


@pytest.mark.parametrize("arch", ["micro", "lite0", "small"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_backward_reaches_every_parameter(arch: str, training: bool) -> None:
    model = small(head_conv=True) if arch == "small" else EfficientNet(arch, drop_path_rate=0)
    model.init_weights()
    model.train(training)
    maps = model(make_image(2, 3, 76, 60))
    # Cubed maps: after batch norm the mean has no gradient with respect to the parameters.
    sum(((level + 0.3) ** 3).sum() for level in maps).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_frozen_stages_zero_freezes_stem_only() -> None:
    model = small(frozen_stages=0)
    still = {name.split(".")[0] for name, p in model.named_parameters() if not p.requires_grad}
    assert still == {"stem"}


def test_norm_eval_without_loaded_statistics_warns_once() -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[method-assign]
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    small(norm_eval=False).train()
    small_with_statistics(norm_eval=True).train()
    small(norm_eval=True).eval()
    assert not records
    small(norm_eval=True).train().eval().train()
    logger.removeHandler(handler)
    assert len(records) == 1 and "norm_eval" in records[0].getMessage()


def test_norm_eval_trains_affine_weights_with_fixed_statistics() -> None:
    model = small_with_statistics(norm_eval=True, drop_path_rate=0.0)
    image = make_image(2, 3, 40, 40)
    with torch.no_grad():
        expected = model(image)
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    assert model.train().stages[1].training
    maps = model(image)
    for first, second in zip(maps, expected, strict=True):
        torch.testing.assert_close(first, second)
    maps[-1].square().sum().backward()
    for name, value in model.named_buffers():
        assert torch.equal(value, statistics[name]), name
    norm = model.stages[1][0].project.norm
    assert norm.weight.grad.abs().min() > 0 and norm.bias.grad.abs().min() > 0


@pytest.mark.parametrize("norm_eval", [False, True])
def test_checkpointing_changes_neither_maps_nor_gradients_nor_statistics(norm_eval: bool) -> None:
    image = make_image(2, 3, 37, 52)
    results = []
    for with_cp in (False, True):
        model = small(with_cp=with_cp, drop_path_rate=0.3, norm_eval=norm_eval).train()
        torch.manual_seed(3)
        maps = model(image)
        sum((level**2).sum() for level in maps).backward()
        gradients = [p.grad for p in model.parameters()]
        results.append([maps[-1].detach(), *gradients, *model.buffers()])
        assert model.state_dict().keys() == small().state_dict().keys()
        assert all(m.momentum == 0.1 for m in model.modules() if isinstance(m, _BatchNorm))
    for plain, recomputed in zip(*results, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_output_maps_are_not_modified_in_place() -> None:
    model = small_with_statistics(head_conv=True)
    image = make_image(1, 3, 64, 64)
    with torch.no_grad():
        first = EfficientNet.forward(model, image)[0].clone()
        kept: list[Tensor] = []
        hook = model.stages[0].register_forward_hook(lambda m, i, out: kept.append(out.clone()))
        maps = model(image)
        hook.remove()
    assert torch.equal(maps[0], kept[0]) and torch.equal(maps[0], first)


def test_drop_path_rate_grows_linearly_over_blocks() -> None:
    # 2 + 2 + 1 + 2 blocks, and the rate is reached after the last: 0.7 * index / 7.
    blocks = [block for stage in small(drop_path_rate=0.7).stages for block in stage]
    assert [block.drop_path.rate for block in blocks] == pytest.approx(
        [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    )
    # Stages that are not built count: rates of the first ones are the same.
    blocks = [block for stage in small(drop_path_rate=0.7, out_indices=(0,)).stages
              for block in stage]
    assert [block.drop_path.rate for block in blocks] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_init_variance_matches_reference_code() -> None:
    torch.manual_seed(0)
    model = EfficientNet("b0", deform_stages=(3,))
    model.init_weights()
    block = model.stages[3][1]
    # 2 / (k * k * outputs / groups): a depthwise one of 5 x 5 has 25, the expansion 1152.
    assert block.depthwise.conv.weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.05)
    assert block.expand.conv.weight.std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.05)
    assert not block.se.expand.bias.any() and not block.depthwise.conv.conv_offset.weight.any()


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_deformable_stages_initially_match_plain_network_and_train(padding: str) -> None:
    plain, bent = small_with_statistics(padding=padding), small_with_statistics(
        padding=padding, deform_stages=(1, ))
    missing = bent.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert {name.split(".depthwise.")[0] for name in missing} == {"stages.1.0", "stages.1.1"}
    image = make_image(2, 3, 49, 64)
    for first, second in zip(plain(image), bent(image), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)
    bent(image)[-1].square().sum().backward()
    for name in missing:
        assert bent.get_parameter(name).grad.abs().sum() > 0, name  # type: ignore[union-attr]


def test_group_norm_is_independent_of_batch_in_training() -> None:
    model = small(norm_cfg=dict(type="GN", num_groups=4)).train()
    images = make_image(2, 3, 33, 40)
    for both, alone in zip(model(images), model(images[:1]), strict=True):
        torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-4)
    assert isinstance(model.stem.norm, nn.GroupNorm)


@pytest.mark.parametrize("arguments, eps", [
    (dict(arch="b4"), 1e-5), (dict(arch="b5"), 1e-3), (dict(arch="v2_s"), 1e-3),
    (dict(arch="b0", padding="same"), 1e-3), (dict(arch="v2_s", norm_eps=1e-5), 1e-5),
    (dict(arch="b0", norm_cfg=dict(type="SyncBN", eps=0.01, momentum=0.03)), 0.01),
], ids=str)
def test_default_norm_eps_follows_arch_and_padding(
    arguments: dict[str, Any], eps: float
) -> None:
    with torch.device("meta"):
        model = EfficientNet(out_indices=(0,), **arguments)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    assert {norm.eps for norm in norms} == {eps} == {model.norm_eps}
    momentum = arguments.get("norm_cfg", {}).get("momentum", 0.1)
    assert {norm.momentum for norm in norms} == {momentum}


def test_layer_depth_counts_blocks() -> None:
    model = small(head_conv=True)
    # 5 blocks in stage 0, 2 in stage 1: depths 1 to 7 of 0 to 8.
    for name, depth in (
        ("stem.conv.weight", 0), ("stages.0.0.fused.conv.weight", 1),
        ("stages.0.4.se.reduce.bias", 5), ("stages.1.1.project.norm.bias", 7),
        ("head_conv.conv.weight", 8),
    ):
        model.get_parameter(name)
        assert model.get_layer_depth(f"backbone.{name}", "backbone.") == (depth, 9), name
        assert model.get_layer_depth(name) == (depth, 9), name
    assert model.get_layer_depth("neck.conv.weight", "backbone.") == (8, 9)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (dict(arch="b9"), "arch: got 'b9', expected one of b0, b1"),
        (dict(arch="lte0"), "did you mean 'lite0'"),
        (dict(arch=dict(depths=2)), "did you mean 'depth'"),
        (dict(arch=dict(groups=[])), "groups: got"),
        (dict(arch=dict(groups=[["mbconv", 3, 1, 1, 16, 1]])), "at least one with stride 2"),
        (dict(arch=dict(groups=[["mbconv", 4, 2, 1, 16, 1]])), r"groups\[0\].kernel: got 4"),
        (dict(arch=dict(groups=[["fused", 3, 2, 1, 16, 1]])), r"groups\[0\].squeeze: got 0.25"),
        (dict(arch=dict(groups=[dict(kind="fused")])), r"groups\[0\]: got"),
        (dict(arch=dict(width=0)), "width: got 0"),
        (dict(arch=dict(activation="gelu")), "'silu' or 'relu6'"),
        (dict(padding="valid"), "padding: got 'valid'"),
        (dict(norm_eps=0), "norm_eps: got 0"),
        (dict(norm_eps=1e-3, norm_cfg=dict(type="BN", eps=1e-5)), "contradict each other"),
        (dict(norm_cfg="BN"), "norm_cfg: got 'BN'"),
        (dict(norm_cfg={}), "norm_cfg: got {}"),
        (dict(norm_cfg=dict(type="LN")), "norm_cfg.type: got 'LN', expected one of BN, SyncBN"),
        (dict(norm_cfg=dict(type="IN")), "norm_cfg.type: got 'IN'"),
        (dict(norm_cfg=dict(type="GN")), "num_groups that divides 32"),
        (dict(norm_cfg=dict(type="GN", num_groups=16)), "num_groups that divides 24"),
        (dict(norm_cfg=dict(type="BN", epsilon=1e-3)), "'epsilon'"),
        (dict(out_indices=(3, 4, 5)), "0 to 3"),
        (dict(out_indices=()), "out_indices"),
        (dict(frozen_stages=5), "frozen_stages: got 5"),
        (dict(drop_path_rate=1.0), "drop_path_rate: got 1.0"),
        (dict(deform_stages=(4,)), "deform_stages"),
        (dict(deform_stages=([1],)), "deform_stages: got"),
        (dict(arch="v2_s", deform_stages=(1,)), "got 1, expected stages that have a depthwise"),
        (dict(head_conv=True, out_indices=(0, 1)), "end with 3"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_invalid_arguments_are_rejected_by_name(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        EfficientNet(**arguments)


def test_registry_builds_it_under_mmdet_name() -> None:
    config = dict(type="EfficientNet", arch="b3", drop_path_rate=0.2, frozen_stages=0,
                  norm_cfg=dict(type="SyncBN", requires_grad=True, eps=1e-3, momentum=0.01),
                  norm_eval=False, out_indices=(1, 2, 3))
    # whatever scope another test has set
    with DefaultScope.overwrite_default_scope("detkit"), torch.device("meta"):
        model = MODELS.build(config)
    assert isinstance(model, EfficientNet)
    assert model.feature_channels == (48, 136, 384)
