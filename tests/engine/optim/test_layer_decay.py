"""Layer-wise learning rate decay of the backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_training
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.engine.runner import DetRunner
from detkit.errors import ConfigError
from detkit.models.backbones import SwinTransformer
from detkit.registry import MODELS

CONSTRUCTOR = "LearningRateDecayOptimWrapperConstructor"
LR, RATE, DECAY = 0.01, 0.5, 0.05

# Swin-micro has 2, 2, 4 and 2 blocks, so 12 depths: the stem, ten blocks, and the norms.
DEPTHS = {
    "patch_embed.conv1.weight": 0,
    "patch_embed.norm.bias": 0,
    "stages.0.blocks.0.attn.qkv.weight": 1,
    "stages.0.blocks.0.local.weight": 1,
    "stages.0.blocks.1.norm1.weight": 2,
    "stages.0.downsample.reduction.weight": 2,
    "stages.1.blocks.0.mlp.fc1.bias": 3,
    "stages.1.blocks.1.attn.relative_position_bias_table": 4,
    "stages.1.downsample.norm.weight": 4,
    "stages.2.blocks.0.attn.proj.weight": 5,
    "stages.2.blocks.3.attn.proj.weight": 8,
    "stages.3.blocks.0.mlp.fc2.weight": 9,
    "stages.3.blocks.1.mlp.fc2.weight": 10,
    "norm0.weight": 11,
    "norm3.bias": 11,
}


class Detector(nn.Module):
    """A backbone and a neck."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Linear(3, 3)


@pytest.fixture
def swin() -> SwinTransformer:
    return SwinTransformer("micro")


def groups(model: nn.Module, paramwise: dict[str, Any], **others: Any) -> dict[str, dict[str, Any]]:
    """The optimizer's parameter groups by the name of the parameter."""
    optimizer = dict(type="AdamW", lr=LR, weight_decay=DECAY)
    with DefaultScope.overwrite_default_scope("detkit"):
        wrapper = build_optim_wrapper(model, dict(
            constructor=CONSTRUCTOR, optimizer=optimizer, paramwise_cfg=paramwise, **others))
    by_id = {id(weight): group for group in wrapper.optimizer.param_groups
             for weight in group["params"]}
    return {name: by_id[id(weight)] for name, weight in model.named_parameters()
            if id(weight) in by_id}


def test_swin_layer_depths(swin: SwinTransformer) -> None:
    assert {name: swin.get_layer_depth(name) for name in DEPTHS} == {
        name: (depth, 12) for name, depth in DEPTHS.items()}
    assert set(DEPTHS) <= {name for name, _ in swin.named_parameters()}


def test_depths_of_all_swin_parameters_are_in_range(swin: SwinTransformer) -> None:
    depths = [swin.get_layer_depth(f"a.{name}", "a.") for name, _ in swin.named_parameters()]
    assert {num_depths for _, num_depths in depths} == {12}
    assert {depth for depth, _ in depths} == set(range(12))
    assert swin.get_layer_depth("neck.weight", "a.") == (11, 12)


def test_unbuilt_stages_have_no_depth() -> None:
    # Two stages of 2 blocks each, the stem, and the norm.
    short = SwinTransformer("micro", out_indices=(1,))
    assert short.get_layer_depth("stages.1.blocks.1.mlp.fc1.weight") == (4, 6)
    assert short.get_layer_depth("norm1.weight") == (5, 6)


def test_only_backbone_learning_rates_decay(swin: SwinTransformer) -> None:
    by_name = groups(Detector(swin), dict(decay_rate=RATE))
    # The output norms keep the full rate, the last block has half of it, and so on.
    for name, depth in DEPTHS.items():
        assert by_name[f"backbone.{name}"]["lr"] == pytest.approx(LR * RATE ** (11 - depth))
        assert by_name[f"backbone.{name}"]["weight_decay"] == DECAY
    assert by_name["neck.weight"]["lr"] == by_name["neck.bias"]["lr"] == LR
    assert len(by_name) == len(list(Detector(swin).named_parameters()))


def test_decay_combines_with_other_paramwise_keys(swin: SwinTransformer) -> None:
    by_name = groups(Detector(swin), dict(
        decay_rate=RATE, norm_decay_mult=0.0, bias_lr_mult=2.0, bias_decay_mult=0.5,
        custom_keys={"relative_position_bias_table": dict(decay_mult=0.0),
                     "backbone.patch_embed": dict(lr_mult=0.1)}))
    # (parameter, learning rate, weight decay)
    for name, lr, decay in (
        ("backbone.stages.0.blocks.1.norm1.weight", LR * RATE**9, 0.0),
        ("backbone.stages.1.blocks.0.mlp.fc1.bias", 2 * LR * RATE**8, 0.5 * DECAY),
        ("backbone.stages.1.blocks.0.mlp.fc1.weight", LR * RATE**8, DECAY),
        ("backbone.stages.1.blocks.1.attn.relative_position_bias_table", LR * RATE**7, 0.0),
        ("backbone.patch_embed.conv1.weight", 0.1 * LR * RATE**11, DECAY),
        ("neck.bias", 2 * LR, 0.5 * DECAY),
        ("neck.weight", LR, DECAY),
    ):
        assert by_name[name]["lr"] == pytest.approx(lr), name
        assert by_name[name]["weight_decay"] == pytest.approx(decay), name


def test_frozen_parameters_have_no_group() -> None:
    model = Detector(SwinTransformer("micro", frozen_stages=1))
    by_name = groups(model, dict(decay_rate=RATE))
    assert not [name for name in by_name if name.startswith(
        ("backbone.patch_embed", "backbone.stages.0"))]
    assert by_name["backbone.stages.1.blocks.0.mlp.fc1.weight"]["lr"] == pytest.approx(LR * RATE**8)


def test_step_changes_parameters_by_their_learning_rate(swin: SwinTransformer) -> None:
    """SGD with a gradient of ones changes each parameter by its learning rate."""
    model = Detector(swin)
    with DefaultScope.overwrite_default_scope("detkit"):
        wrapper = build_optim_wrapper(model, dict(
            constructor=CONSTRUCTOR, optimizer=dict(type="SGD", lr=LR),
            paramwise_cfg=dict(decay_rate=RATE)))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    wrapper.step()
    moved = {name: (before[name] - weight).detach() for name, weight in model.named_parameters()}
    for name, depth in DEPTHS.items():
        torch.testing.assert_close(
            moved[f"backbone.{name}"],
            torch.full_like(before[f"backbone.{name}"], LR * RATE ** (11 - depth)),
            atol=1e-6, rtol=0)


@pytest.mark.parametrize("rate", [None, 0, 1.1, -0.5, "0.8", True])
def test_decay_rate_out_of_range_is_rejected(swin: SwinTransformer, rate: Any) -> None:
    paramwise = {} if rate is None else dict(decay_rate=rate)
    with pytest.raises(ConfigError, match="decay_rate: got .* expected a number above 0"):
        groups(Detector(swin), paramwise)


def test_decay_rate_one_changes_no_learning_rate(swin: SwinTransformer) -> None:
    assert {group["lr"] for group in groups(Detector(swin), dict(decay_rate=1)).values()} == {LR}


@pytest.mark.parametrize(
    ("model", "message"),
    [(nn.Linear(1, 1), "got no backbone"), (Detector(nn.Linear(1, 1)), "got Linear")],
    ids=["no backbone", "no get_layer_depth"],
)
def test_backbone_without_layer_depths_is_rejected(model: nn.Module, message: str) -> None:
    with pytest.raises(ConfigError, match=f"{message}, expected a backbone with get_layer_depth"):
        groups(model, dict(decay_rate=RATE))


LINES = f"""
optim_wrapper["constructor"] = "{CONSTRUCTOR}"
optim_wrapper["paramwise_cfg"] = dict(decay_rate=0.5, norm_decay_mult=0.0)
optim_wrapper["optimizer"] = dict(type="AdamW", lr=0.001, weight_decay=0.05)
model["backbone"] = dict(type="SwinTransformer", arch="micro", out_indices=(1, 2, 3))
"""


def test_constructor_is_built_from_a_config(tmp_path: Path, tiny_data: Path) -> None:
    cfg = load_config(tiny_training.write_config(tmp_path, tiny_data, LINES))
    infer_fields(cfg, tiny_training.CLASSES)
    cfg.work_dir = str(tmp_path / "work")
    runner = DetRunner.from_cfg(cfg)
    wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    named = {id(weight): name for name, weight in runner.model.named_parameters()}
    rates = {named[id(weight)]: group["lr"] for group in wrapper.optimizer.param_groups
             for weight in group["params"]}
    assert rates["backbone.stages.0.blocks.0.attn.qkv.weight"] == pytest.approx(0.001 * 0.5**10)
    assert rates["backbone.stages.3.blocks.1.attn.qkv.weight"] == pytest.approx(0.001 * 0.5)
    assert rates["rpn_head.rpn_conv.weight"] == 0.001
    assert MODELS.get("SwinTransformer") is type(runner.model.backbone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('optim_wrapper["paramwise_cfg"]["decay_rat"] = 0.5',
         r"paramwise_cfg\.decay_rat: .* reads; did you mean 'decay_rate'"),
        (f'optim_wrapper["constructor"] = "{CONSTRUCTOR[:-2]}"',
         rf"optim_wrapper\.constructor: .*did you mean '{CONSTRUCTOR}'"),
        ('optim_wrapper.pop("constructor")',
         r"paramwise_cfg\.decay_rate: .* is not a key of paramwise_cfg that Default"),
    ],
    ids=["misspelt key", "misspelt name", "no constructor"],
)
def test_decay_without_effect_is_rejected(
    tmp_path: Path, tiny_data: Path, change: str, message: str
) -> None:
    path = tiny_training.write_config(tmp_path, tiny_data, LINES + change + "\n")
    with pytest.raises(ConfigError, match=message):
        load_config(path)
