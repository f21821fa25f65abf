"""Classification heads: output, initialization, invalid arguments."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detkit.errors import ConfigError, DataError
from detkit.models.heads import LinearClsHead, MLPClsHead
from detkit.registry import MODELS

LINEAR: dict[str, Any] = dict(type="LinearClsHead", num_classes=3, in_channels=8)
MLP: dict[str, Any] = dict(type="MLPClsHead", num_classes=3, in_channels=8, hidden_channels=(5, 6))
BOTH = pytest.mark.parametrize("cfg", [LINEAR, MLP], ids=["linear", "mlp"])


def features(batch: int = 4) -> Tensor:
    return torch.randn(batch, 8, generator=torch.Generator().manual_seed(0))


def test_linear_head_matches_linear_layer() -> None:
    head = LinearClsHead(3, 8)
    assert set(head.state_dict()) == {"fc.weight", "fc.bias"}
    expected = features() @ head.fc.weight.t() + head.fc.bias
    torch.testing.assert_close(head(features()), expected)


def test_linear_head_applies_norm_before_fc() -> None:
    head = LinearClsHead(3, 8, norm_cfg=dict(type="LN", eps=1e-6))
    assert set(head.state_dict()) == {"norm.weight", "norm.bias", "fc.weight", "fc.bias"}
    with torch.no_grad():
        head.norm.weight.uniform_(0.5, 2)
        head.norm.bias.uniform_(-1, 1)
    # Small values, where the eps matters.
    x = features() * 1e-3
    normed = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-6).sqrt()
    expected = F.linear(normed * head.norm.weight + head.norm.bias, head.fc.weight, head.fc.bias)
    torch.testing.assert_close(head(x), expected, rtol=1e-5, atol=1e-5)


def test_mlp_head_matches_explicit_layers() -> None:
    head = MLPClsHead(3, 8, (5, 6), act_cfg=dict(type="ReLU"), norm_cfg=dict(type="BN1d")).eval()
    x = features()
    for first, norm, _, _ in head.hidden:
        norm.running_mean.uniform_(-1, 1)
        x = first(x)
        x = ((x - norm.running_mean) / (norm.running_var + norm.eps).sqrt()).clamp(min=0)
    torch.testing.assert_close(head(features()), x @ head.fc.weight.t() + head.fc.bias)
    assert head.fc.in_features == 6


@BOTH
def test_init_weights_gives_small_weights_and_zero_bias(cfg: dict[str, Any]) -> None:
    torch.manual_seed(0)
    head = MODELS.build({**cfg, "in_channels": 400, "num_classes": 300})
    head.init_weights()
    for module in head.modules():
        if isinstance(module, nn.Linear):
            assert not module.bias.any()
    # 120,000 or 1,800 draws with std 0.02 (truncation at 100 std has no effect).
    assert float(head.fc.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    # The initial loss is about that of uniform predictions, ln 300 = 5.70: logits with std
    # 0.02 sqrt(400) = 0.4 make it 0.4^2 / 2 = 0.08 more.
    with torch.no_grad():
        loss = head.loss(torch.randn(200, 400), torch.arange(200))["loss"]
    assert float(loss) == pytest.approx(5.75, abs=0.1)


@BOTH
def test_dropout_applies_in_training_only(cfg: dict[str, Any]) -> None:
    torch.manual_seed(0)
    head = MODELS.build({**cfg, "dropout": 0.5})
    assert not torch.equal(head(features()), head(features()))
    head.eval()
    assert torch.equal(head(features()), head(features()))


@BOTH
def test_labels_and_one_hot_targets_give_same_loss(cfg: dict[str, Any]) -> None:
    head, labels = MODELS.build(cfg), torch.tensor([2, 0, 1, 2])
    by_label = head.loss(features(), labels)
    assert list(by_label) == ["loss"]
    expected = F.cross_entropy(head(features()), labels)
    torch.testing.assert_close(by_label["loss"], expected)
    by_share = head.loss(features(), F.one_hot(labels, 3).float())
    torch.testing.assert_close(by_share["loss"], expected)


@BOTH
def test_head_uses_loss_of_config(cfg: dict[str, Any]) -> None:
    loss = dict(type="ClassBalancedLoss", class_counts=[4, 2, 1],
                loss=dict(type="SoftmaxFocalLoss"))
    head, labels = MODELS.build({**cfg, "loss": loss}), torch.tensor([2, 0, 1, 2])
    expected = MODELS.build(loss)(head(features()), labels)
    torch.testing.assert_close(head.loss(features(), labels)["loss"], expected)


@BOTH
def test_empty_batch_gives_empty_logits_and_zero_loss(cfg: dict[str, Any]) -> None:
    head = MODELS.build(cfg)
    assert head(features(0)).shape == (0, 3)
    assert head.loss(features(0), torch.zeros(0, dtype=torch.int64))["loss"] == 0


@BOTH
@pytest.mark.parametrize("shape", [(4, 7), (4, 8, 2, 2), (8,)], ids=str)
def test_features_of_other_channels_are_rejected(
    cfg: dict[str, Any], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"in_channels=8 gets .*expected \(B, 8\)") as excinfo:
        MODELS.build(cfg)(torch.zeros(shape))
    assert str(shape) in str(excinfo.value)


@BOTH
def test_label_out_of_range_is_rejected(cfg: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"label: got 3, expected 0\.\.2: .* has 3 classes"):
        MODELS.build(cfg).loss(features(), torch.tensor([0, 1, 3, 2]))


@BOTH
@pytest.mark.parametrize("wrong", [
    dict(num_classes=0), dict(in_channels=2.5), dict(dropout=1), dict(norm_cfg=dict(type="BN")),
    dict(norm_cfg=dict(type="LN", epsilon=1)), dict(norm_cfg=dict(type="Nrom")),
    dict(norm_cfg="LN"),
], ids=str)
def test_invalid_arguments_are_rejected(cfg: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{cfg['type']}: {next(iter(wrong))}"):
        MODELS.build({**cfg, **wrong})


@pytest.mark.parametrize("wrong", [dict(hidden_channels=()), dict(hidden_channels=(0,)),
                                   dict(act_cfg=dict(type="Rleu"))], ids=str)
def test_invalid_hidden_layers_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"MLPClsHead: {next(iter(wrong))}"):
        MODELS.build({**MLP, **wrong})
