"""Loading of EfficientNet checkpoints of every layout."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from efficientnet_models import (
    assert_same,
    make_image,
    timm_maps,
    timm_model,
    torchvision_model,
)

from detkit.errors import WeightsError
from detkit.models.backbones import EfficientNet
from detkit.models.weights.backbone_weights import load_backbone_weights

State = dict[str, Any]
SAME: dict[str, Any] = dict(padding="same")

# lukemelas' names by timm's. Norms of the first block have the indices of a block with expansion,
# _bn1 and _bn2; the index of _blocks runs over all stages.
IN_A_BLOCK = {
    "conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
    "se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand",
    "conv_pwl": "_project_conv", "bn3": "_bn2",
}
FIRST_BLOCK = {**IN_A_BLOCK, "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
OUTSIDE = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1",
           "classifier": "_fc"}
B0_BLOCKS = [(stage, block) for stage, number in enumerate((1, 2, 2, 3, 3, 4, 1))
             for block in range(number)]


def as_lukemelas(state: State) -> State:
    renamed: State = {}
    for name, value in state.items():
        owner, _, leaf = name.rpartition(".")
        if leaf == "num_batches_tracked":
            continue  # the files of the release do not have them
        match = re.match(r"blocks\.(\d+)\.(\d+)\.(.*)", owner)
        if match is None:
            renamed[f"{OUTSIDE[owner]}.{leaf}"] = value
            continue
        block_index = (int(match[1]), int(match[2]))
        names = FIRST_BLOCK if block_index == (0, 0) else IN_A_BLOCK
        renamed[f"_blocks.{B0_BLOCKS.index(block_index)}.{names[match[3]]}.{leaf}"] = value
    return renamed


@pytest.fixture(scope="module")
def states() -> dict[str, State]:
    """A state dict of B0 in each layout."""
    tensorflow = timm_model("tf_efficientnet_b0").state_dict()
    detkit_model = EfficientNet(head_conv=True)
    load_backbone_weights(detkit_model, timm_model("efficientnet_b0").state_dict())
    return {
        "timm": tensorflow,
        "torchvision": torchvision_model("efficientnet_b0").state_dict(),
        "lukemelas": as_lukemelas(tensorflow),
        "detkit": dict(detkit_model.state_dict()),
    }


def padding_of(layout: str) -> str:
    return "same" if layout in ("timm", "lukemelas") else "symmetric"


def test_lukemelas_checkpoint_gives_maps_of_timm_tf_model(
    states: dict[str, State], tmp_path: Path
) -> None:
    torch.save(states["lukemelas"], tmp_path / "efficientnet-b0.pth")
    model = EfficientNet(**SAME).eval()
    report = load_backbone_weights(model, tmp_path / "efficientnet-b0.pth")
    assert report.layout == "lukemelas"
    assert report.missing_keys and all(
        name.endswith(".num_batches_tracked") for name in report.missing_keys)
    assert set(report.unexpected_keys) == {
        "_conv_head.weight", "_fc.weight", "_fc.bias",
        *(f"_bn1.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var")),
    }
    image = make_image(2, 3, 96, 65)
    with torch.no_grad():
        assert_same(model(image), timm_maps(timm_model("tf_efficientnet_b0"), image))


MIDDLE = {
    "timm": "blocks.3.1.conv_pwl.weight",
    "torchvision": "features.4.1.block.3.0.weight",
    "lukemelas": "_blocks.6._project_conv.weight",
    "detkit": "stages.2.1.project.conv.weight",
}


def statistic(key: str) -> str:
    return key.replace(".weight", ".running_mean")


SPOILED: dict[str, tuple[Callable[[State, str], Any], str]] = {
    "missing": (lambda s, k: s.pop(k), "missing stages.2.1.project.conv.weight"),
    "renamed": (lambda s, k: s.update({k + "s": s.pop(k)}), "unexpected KEYs"),
    "misshapen": (lambda s, k: s.update({k: torch.ones(80, 479, 1, 1)}),
                  r"stages.2.1.project.conv.weight is \(80, 480, 1, 1\), 'KEY'.*\(80, 479, 1, 1\)"),
    "more": (lambda s, k: s.update({k.replace("1", "7", 1): s[k]}), "unexpected MORE"),
    "statistics": (lambda s, k: s.update({statistic(k): torch.ones(80)}), "unexpected STATISTIC"),
}


@pytest.mark.parametrize("fault", SPOILED)
@pytest.mark.parametrize("layout", MIDDLE)
def test_mismatched_checkpoint_is_rejected_and_loads_nothing(
    layout: str, fault: str, states: dict[str, State]
) -> None:
    state, key = dict(states[layout]), MIDDLE[layout]
    spoil, words = SPOILED[fault]
    if fault == "more" and layout == "lukemelas":
        key = key.replace("6", "16")  # B0 has blocks 0 to 15
        state[key] = states[layout][MIDDLE[layout]]
        words, spoil = "unexpected KEY", lambda s, k: None
    spoil(state, key)
    words = words.replace("KEY", key).replace("MORE", key.replace("1", "7", 1))
    words = words.replace("STATISTIC", statistic(key))
    model = EfficientNet(padding=padding_of(layout), head_conv=layout == "detkit")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=words):
        load_backbone_weights(model, state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("layout", MIDDLE)
def test_unused_stages_are_reported_unexpected(
    layout: str, states: dict[str, State]
) -> None:
    model = EfficientNet(padding=padding_of(layout), out_indices=(1,))
    report = load_backbone_weights(model, states[layout])
    assert report.layout == layout and MIDDLE[layout] in report.unexpected_keys
    assert set(report.loaded) >= {name for name, _ in model.named_parameters()}


def test_checkpoint_of_deeper_arch_is_rejected_by_first_extra_block() -> None:
    state = torchvision.models.efficientnet_b1().state_dict()
    with pytest.raises(WeightsError, match=r"unexpected features\.1\.1\.block"):
        load_backbone_weights(EfficientNet("b0"), state)


def test_detkit_keys_in_other_layout_are_unexpected(states: dict[str, State]) -> None:
    state = {**states["timm"], "stem.conv.weight": states["timm"]["conv_stem.weight"]}
    del state["conv_stem.weight"]
    with pytest.raises(WeightsError, match="missing stem.conv.weight.*unexpected stem.conv.weight"):
        load_backbone_weights(EfficientNet(**SAME), state)


@pytest.mark.parametrize("layout, arguments, words", [
    ("torchvision", dict(padding="same"), "expected padding='symmetric', norm_eps=1e-05"),
    ("lukemelas", dict(padding="symmetric"), "expected padding='same', norm_eps=0.001"),
    ("timm", dict(arch="b5"), "norm_eps=1e-05 or padding='same', norm_eps=0.001"),
], ids=["torchvision", "lukemelas", "timm"])
def test_checkpoint_trained_with_other_padding_or_eps_is_rejected(
    layout: str, arguments: dict[str, Any], words: str, states: dict[str, State]
) -> None:
    with pytest.raises(WeightsError, match=words):
        load_backbone_weights(EfficientNet(**arguments), states[layout])


def test_explicit_norm_eps_must_match_checkpoint(states: dict[str, State]) -> None:
    for arguments in (dict(norm_eps=1e-4), dict(norm_cfg=dict(type="BN", eps=1e-4))):
        model = EfficientNet(**arguments)  # type: ignore[arg-type]
        load_backbone_weights(model, states["torchvision"])
        assert model.stem.norm.eps == model.norm_eps == 1e-4


def test_detkit_checkpoint_loads_by_init_cfg_with_head_and_prefix(
    states: dict[str, State], tmp_path: Path
) -> None:
    state = {f"backbone.{name}": value for name, value in states["detkit"].items()}
    state["head.fc.weight"] = torch.ones(2, 1280)
    torch.save({"state_dict": state}, tmp_path / "classifier.pth")
    checkpoint = str(tmp_path / "classifier.pth")
    reloaded = EfficientNet(head_conv=True, init_cfg=dict(type="Pretrained", checkpoint=checkpoint))
    reloaded.init_weights()
    for name, value in reloaded.state_dict().items():
        assert torch.equal(value, states["detkit"][name]), name
    report = load_backbone_weights(EfficientNet(), checkpoint)
    assert report.layout == "detkit" and report.missing_keys == ()
    assert {"head.fc.weight", "head_conv.conv.weight"} <= set(report.unexpected_keys)


@pytest.mark.parametrize("layout", MIDDLE)
def test_plain_weights_load_into_deformable_stages_with_same_maps(
    layout: str, states: dict[str, State]
) -> None:
    padding = padding_of(layout)
    plain = EfficientNet(padding=padding).eval()
    bent = EfficientNet(padding=padding, deform_stages=(0, 2, 3)).eval()
    load_backbone_weights(plain, states[layout])
    report = load_backbone_weights(bent, states[layout])
    offsets = [name for name in report.missing_keys if not name.endswith("tracked")]
    # Stage 0 has 3 blocks, stage 2 has 6, stage 3 has 5; a weight and a bias each.
    assert len(offsets) == 28 and all(".depthwise.conv.conv_offset." in name for name in offsets)
    image = make_image(1, 3, 64, 49)
    with torch.no_grad():
        assert_same(bent(image), list(plain(image)), 2e-5)


def test_incomplete_offsets_in_checkpoint_are_rejected() -> None:
    bent = EfficientNet("micro", deform_stages=(2, 3))
    state = dict(bent.state_dict())
    report = load_backbone_weights(EfficientNet("micro", deform_stages=(2, 3)), state)
    assert report.layout == "detkit" and report.missing_keys == ()
    name = next(name for name in state if name.endswith(".conv_offset.weight"))
    del state[name]
    with pytest.raises(WeightsError, match=f"missing {name}$|missing {name};"):
        load_backbone_weights(bent, state)


def test_batch_counters_are_optional_and_running_statistics_are_not() -> None:
    state = EfficientNet().state_dict()
    group = EfficientNet(norm_cfg=dict(type="GN", num_groups=8))
    statistics = [name for name in state if name.endswith((".running_mean", ".running_var"))]
    with pytest.raises(WeightsError, match="unexpected stem.norm.running_mean"):
        load_backbone_weights(group, state)
    report = load_backbone_weights(
        group, {name: value for name, value in state.items() if name not in statistics}
    )
    assert len(report.unexpected_keys) == len(statistics) / 2


@pytest.mark.parametrize("state", [{}, {"layers.0.weight": torch.ones(1)}], ids=["none", "other"])
def test_unknown_layout_is_rejected(state: State) -> None:
    with pytest.raises(WeightsError, match="empty dict|names of an EfficientNet"):
        load_backbone_weights(EfficientNet(), state)
