"""Loading of ConvNeXt V2 checkpoints of detkit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from convnextv2_models import randomized_model

from detkit.errors import WeightsError
from detkit.models.backbones import ConvNeXtV2
from detkit.models.weights.backbone_weights import load_backbone_weights

State = dict[str, Any]
DWCONV = "stages.1.blocks.0.dwconv.weight"
OFFSET = "stages.1.blocks.1.dwconv.conv_offset"


def model(**changes: Any) -> ConvNeXtV2:
    arch = dict(depths=(1, 2), dims=(8, 16))
    return ConvNeXtV2(**{"arch": arch, "out_indices": (0, 1), "deform_stages": (1,), **changes})


def move(state: State, old: str, new: str) -> None:
    for name in [name for name in state if name.startswith(old)]:
        state[new + name.removeprefix(old)] = state.pop(name)


@pytest.mark.parametrize("spoil, words", [
    (lambda s: move(s, DWCONV, f"{DWCONV}s"), f"missing {DWCONV}; unexpected {DWCONV}s"),
    (lambda s: s.pop(DWCONV), f"missing {DWCONV}"),
    (lambda s: s.update({DWCONV: torch.ones(3, 3)}), rf"{DWCONV} is .*\(3, 3\)"),
    (lambda s: move(s, "norm0.weight", "norm0.weigth"),
     "missing norm0.weight; unexpected norm0.weigth"),
    (lambda s: s.pop("norm1.bias"), "missing norm1.bias"),
    (lambda s: s.update({"norm1.bias": torch.ones(3)}), r"norm1.bias is \(16,\)"),
    (lambda s: move(s, "norm0.", "norm2."), "unexpected norm2.weight, norm2.bias"),
    (lambda s: s.pop(f"{OFFSET}.weight"), f"missing {OFFSET}.weight"),
    (lambda s: move(s, OFFSET, f"{OFFSET}s"), f"missing {OFFSET}.weight.*unexpected {OFFSET}s"),
    (lambda s: move(s, OFFSET, "extra"), f"missing {OFFSET}.weight.*unexpected extra"),
], ids=["renamed", "missing", "shape", "renamed-norm", "half-a-norm", "shape-of-norm",
        "norm-of-no-stage", "missing-offset", "renamed-offset", "offset-elsewhere"])
def test_checkpoint_with_one_wrong_key_is_rejected_by_key(
    spoil: Callable[[State], Any], words: str
) -> None:
    state = dict(randomized_model(model()).state_dict())
    spoil(state)
    backbone = model()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(WeightsError, match=f"detkit layout.*{words}"):
        load_backbone_weights(backbone, state)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])


def test_norms_of_other_outputs_are_reported_missing_or_unexpected() -> None:
    one_output, both = model(out_indices=(1,)), model()
    report = load_backbone_weights(both, one_output.state_dict())
    assert report.missing_keys == ("norm0.weight", "norm0.bias") and report.unexpected_keys == ()
    assert "left as initialized: norm0.weight, norm0.bias" in str(report)
    report = load_backbone_weights(one_output, both.state_dict())
    assert report.missing_keys == () and report.unexpected_keys == ("norm0.weight", "norm0.bias")


def test_detkit_checkpoint_without_offsets_keeps_initial_offsets() -> None:
    report = load_backbone_weights(model(), model(deform_stages=()).state_dict())
    # Two blocks with a weight and a bias each.
    assert len(report.missing_keys) == 4 and all(".conv_offset." in name
                                                 for name in report.missing_keys)
    with pytest.raises(WeightsError, match=f"unexpected .*{OFFSET}.weight"):
        load_backbone_weights(model(deform_stages=()), model().state_dict())
