"""Norms built from configs, and errors for unsupported ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from detkit.errors import ConfigError
from detkit.models.layers.norm import build_norm


@pytest.mark.parametrize("cfg, norm_type", [
    (dict(type="BN", eps=1e-3, momentum=0.01), nn.BatchNorm2d),
    (dict(type="SyncBN", requires_grad=False), nn.SyncBatchNorm),
    (dict(type="GN", num_groups=4), nn.GroupNorm),
    (dict(type=nn.BatchNorm2d), nn.BatchNorm2d),
], ids=str)
def test_norm_is_built_with_its_arguments(cfg: dict[str, Any], norm_type: type) -> None:
    norm = build_norm("Neck", cfg, 8)
    assert isinstance(norm, norm_type)
    assert norm.eps == cfg.get("eps", 1e-5)
    assert {p.requires_grad for p in norm.parameters()} == {cfg.get("requires_grad", True)}
    assert norm.eval()(torch.randn(2, 8, 3, 3)).shape == (2, 8, 3, 3)


@pytest.mark.parametrize("cfg, words", [
    (None, "got None, expected a dict such as"),
    ("BN", "got 'BN', expected a dict such as"),
    (dict(num_groups=8), "got {'num_groups': 8}, expected a dict"),
    (dict(type="BM"), "got {'type': 'BM'}, expected a type that is registered"),
    (dict(type="GN"), "expected a num_groups that divides 8 channels"),
    (dict(type="GN", num_groups=3), "expected a num_groups that divides 8 channels"),
    (dict(type="GN", num_groups=0), "expected a num_groups that divides 8 channels"),
    (dict(type="GN", num_groups="8"), "expected a num_groups that divides 8 channels"),
    (dict(type="BN", epsilon=1e-3), "expected a norm for 8 channels .*'epsilon'"),
    (dict(type="BN", eps="1e-3"), ".eps: got '1e-3', expected a number above 0"),
    (dict(type="BN", momentum="0.1"), ".momentum: got '0.1', expected a number"),
    (dict(type="LN"), r"expected a norm of maps"),
    (dict(type="BN1d"), r"expected a norm of maps"),
], ids=str)
def test_unsupported_norm_is_rejected(cfg: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^Neck: norm_cfg.*{words}") as excinfo:
        build_norm("Neck", cfg, 8)
    assert "\n" not in str(excinfo.value)
