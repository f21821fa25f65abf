"""Classification losses against torch, timm and torchvision, and manual examples.

Legend: B images in the batch, K classes.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import timm.loss
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

from detkit.errors import ConfigError, DataError
from detkit.models.losses import ClassBalancedLoss, SoftCrossEntropyLoss, SoftmaxFocalLoss
from detkit.models.losses.class_weights import effective_number_weights
from detkit.registry import MODELS

B, K = 6, 4
WEIGHTS = [0.5, 1.0, 2.0, 0.0]


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(B, K, generator=torch.Generator().manual_seed(0)).mul(3).requires_grad_()


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 3, 1, 1, 2, 0])


@pytest.fixture
def shares() -> Tensor:
    return torch.rand(B, K, generator=torch.Generator().manual_seed(1)).softmax(1)


def assert_same_loss_and_gradient(loss_value: Tensor, reference: Tensor, logits: Tensor) -> None:
    """Compare values and gradients of two losses."""
    torch.testing.assert_close(loss_value, reference, rtol=1e-5, atol=1e-6)
    gradients = [
        torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (loss_value, reference)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


LOSSES = ["SoftCrossEntropyLoss", "SoftmaxFocalLoss"]
ALL = [dict(type=name) for name in LOSSES] + [
    dict(type="ClassBalancedLoss", class_counts=[9, 5, 2, 1]),
    dict(type="ClassBalancedLoss", class_counts=[9, 5, 2, 1], loss=dict(type=LOSSES[1]))]
EACH = pytest.mark.parametrize("cfg", ALL, ids=lambda cfg: str(cfg.get("loss", cfg)["type"]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighed"])
def test_cross_entropy_of_labels_matches_torch_sum_over_images(
    logits: Tensor, labels: Tensor, smoothing: float, weights: list[float] | None
) -> None:
    loss_value = SoftCrossEntropyLoss(label_smoothing=smoothing, class_weight=weights)(
        logits, labels
    )
    weight = None if weights is None else torch.tensor(weights)
    reference = F.cross_entropy(logits, labels, weight, label_smoothing=smoothing, reduction="sum")
    assert_same_loss_and_gradient(loss_value, reference / B, logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighed"])
def test_cross_entropy_of_probabilities_matches_torch_mean(
    logits: Tensor, shares: Tensor, smoothing: float, weights: list[float] | None
) -> None:
    loss_value = SoftCrossEntropyLoss(label_smoothing=smoothing, class_weight=weights)(
        logits, shares
    )
    weight = None if weights is None else torch.tensor(weights)
    assert_same_loss_and_gradient(
        loss_value, F.cross_entropy(logits, shares, weight, label_smoothing=smoothing), logits)


def test_cross_entropy_matches_timm(logits: Tensor, labels: Tensor, shares: Tensor) -> None:
    assert_same_loss_and_gradient(
        SoftCrossEntropyLoss(0.1)(logits, labels),
        timm.loss.LabelSmoothingCrossEntropy(0.1)(logits, labels), logits)
    assert_same_loss_and_gradient(SoftCrossEntropyLoss()(logits, shares),
                                  timm.loss.SoftTargetCrossEntropy()(logits, shares), logits)


@EACH
def test_label_and_one_hot_target_give_same_loss(
    cfg: dict[str, Any], logits: Tensor, labels: Tensor
) -> None:
    loss = MODELS.build(cfg)
    assert_same_loss_and_gradient(
        loss(logits, labels), loss(logits, F.one_hot(labels, K).float()), logits
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_of_gamma_0_is_cross_entropy(
    logits: Tensor, labels: Tensor, shares: Tensor, smoothing: float
) -> None:
    for targets in (labels, shares):
        options: dict[str, Any] = dict(label_smoothing=smoothing, class_weight=WEIGHTS)
        assert_same_loss_and_gradient(
            SoftmaxFocalLoss(0.0, **options)(logits, targets),
            SoftCrossEntropyLoss(**options)(logits, targets), logits)


def test_focal_loss_matches_manual_example() -> None:
    # p = 1/2 each: (1 - 1/2)^2 ln 2. p = 3/4 of the label, as logits ln 3 and 0: (1/4)^2 ln(4/3).
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    expected = (math.log(2) / 4 + math.log(4 / 3) / 16) / 2
    assert float(SoftmaxFocalLoss()(logits, torch.tensor([1, 0]))) == pytest.approx(expected)
    # The second class has weight 3.
    expected = (3 * math.log(2) / 4 + math.log(4 / 3) / 16) / 2
    weighed = SoftmaxFocalLoss(class_weight=[1, 3])
    assert float(weighed(logits, torch.tensor([1, 0]))) == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.0])
def test_focal_loss_of_two_classes_matches_torchvision(gamma: float) -> None:
    # A softmax over (0, x) is a sigmoid of x.
    x = torch.linspace(-8, 8, 9).requires_grad_()
    labels = torch.arange(9) % 2
    loss_value = SoftmaxFocalLoss(gamma)(torch.stack([torch.zeros(9), x], 1), labels)
    reference = torchvision.ops.sigmoid_focal_loss(x, labels.float(), alpha=-1, gamma=gamma,
                                                   reduction="mean")
    assert_same_loss_and_gradient(loss_value, reference, x)


def test_effective_number_weights_match_manual_example() -> None:
    # beta 1/2: the effective number of 1 image is (1 - 1/2) / (1/2) = 1, of 2 (3/4) / (1/2) = 3/2.
    # Inverse: 1 and 2/3, normalized to sum 2: 6/5 and 4/5.
    assert effective_number_weights((1, 2), 0.5) == pytest.approx([1.2, 0.8])


@pytest.mark.parametrize(("counts", "beta", "expected"), [
    ([10, 20, 30], 0.0, [1, 1, 1]),
    # Towards 1, inverse to the counts: 1/1 and 1/3, normalized to sum 2.
    ([1, 3], 1 - 1e-9, [1.5, 0.5]),
    # A class without images has weight 0; the others have the sum 3.
    ([0, 4, 4], 0.9, [0, 1.5, 1.5]),
    ([7], 0.999, [1]),
], ids=["alike", "inverse", "none-of-one", "one-class"])
def test_effective_number_weights_at_limits_of_beta(
    counts: list[int], beta: float, expected: list[float]
) -> None:
    assert effective_number_weights(counts, beta) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("inner", LOSSES)
def test_class_balanced_loss_matches_loss_with_class_weight(
    logits: Tensor, labels: Tensor, inner: str
) -> None:
    counts = [9, 5, 2, 1]
    balanced = ClassBalancedLoss(0.99, counts, dict(type=inner, label_smoothing=0.1))
    weights = effective_number_weights(counts, 0.99)
    assert sum(weights) == pytest.approx(K) and weights == sorted(weights)
    plain = MODELS.build(dict(type=inner, label_smoothing=0.1, class_weight=weights))
    assert_same_loss_and_gradient(balanced(logits, labels), plain(logits, labels), logits)


def test_class_balanced_loss_without_counts_is_rejected(logits: Tensor, labels: Tensor) -> None:
    with pytest.raises(ConfigError, match="class_counts are not known.*--data"):
        ClassBalancedLoss()(logits, labels)


@EACH
def test_losses_are_finite_for_extreme_logits(cfg: dict[str, Any]) -> None:
    loss = MODELS.build(cfg)
    none = torch.zeros(0, K, requires_grad=True)
    nothing = loss(none, torch.zeros(0, dtype=torch.int64))
    nothing.backward()
    assert nothing == 0 and none.grad is not None
    # Extreme logits for the right and the wrong class; and -inf for a class with target 0.
    for row in ([1e4, 0.0, 0.0, 0.0], [-1e4, 0.0, 0.0, 0.0], [0.0, -math.inf, 0.0, 0.0]):
        logits = torch.tensor([row], requires_grad=True)
        value = loss(logits, torch.tensor([0]))
        value.backward()
        assert value.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_gradient_of_certain_prediction_is_finite_for_every_gamma(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    SoftmaxFocalLoss(gamma)(logits, torch.tensor([0])).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


@EACH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_losses_are_computed_in_float32_at_least(
    cfg: dict[str, Any], dtype: torch.dtype, logits: Tensor, labels: Tensor
) -> None:
    loss, given = MODELS.build(cfg), logits.detach().to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float64):
        value = loss(given, labels)
    wide = torch.promote_types(dtype, torch.float32)
    assert value.dtype == wide
    torch.testing.assert_close(value, loss(given.to(wide), labels))


@EACH
def test_loss_weight_is_a_factor(cfg: dict[str, Any], logits: Tensor, labels: Tensor) -> None:
    inner = {**cfg.get("loss", dict(type=LOSSES[0])), "loss_weight": 2.0}
    balanced = cfg["type"] == "ClassBalancedLoss"
    doubled = {**cfg, "loss": inner} if balanced else {**cfg, "loss_weight": 2.0}
    assert_same_loss_and_gradient(
        MODELS.build(doubled)(logits, labels), 2 * MODELS.build(cfg)(logits, labels), logits)


@EACH
def test_losses_add_nothing_to_state_dict(cfg: dict[str, Any]) -> None:
    assert not MODELS.build(cfg).state_dict() and not list(MODELS.build(cfg).parameters())


@pytest.mark.parametrize(("targets", "message"), [
    (torch.tensor([0, 1, 2, 3, 4, 0]), r"label: got 4, expected 0\.\.3"),
    (torch.tensor([0, 1, -1, 3, 4, 0]), r"label: got -1, expected 0\.\.3"),
    (torch.tensor([0, 1]), r"targets of a classifier: got \(2,\) torch.int64"),
    (torch.zeros(B, K + 1), r"got \(6, 5\) torch.float32, expected labels \(6,\) or probabilities"),
    (torch.zeros(B, K, dtype=torch.int64), r"got \(6, 4\) torch.int64"),
], ids=["above", "below", "few", "wide", "whole-shares"])
def test_invalid_targets_are_rejected(logits: Tensor, targets: Tensor, message: str) -> None:
    for name in LOSSES:
        with pytest.raises(DataError, match=message):
            MODELS.build(dict(type=name))(logits, targets)


@pytest.mark.parametrize(("cfg", "message"), [
    (dict(type=LOSSES[0], label_smoothing=1.5), "label_smoothing: got 1.5"),
    (dict(type=LOSSES[0], loss_weight="1"), "loss_weight: got '1'"),
    (dict(type=LOSSES[0], class_weight=[0, 0]), "class_weight"),
    (dict(type=LOSSES[1], class_weight=[1, -1]), "class_weight"),
    (dict(type=LOSSES[1], gamma=-1), "gamma: got -1, expected a number from 0"),
    (dict(type="ClassBalancedLoss", beta=1), "beta: got 1"),
    (dict(type="ClassBalancedLoss", class_counts=[0, 0]), "class_counts"),
    (dict(type="ClassBalancedLoss", class_counts=[1.5, 2]), "class_counts"),
    (dict(type="ClassBalancedLoss", loss=dict(type=LOSSES[0], class_weight=[1, 2])),
     "loss.class_weight"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_invalid_arguments_are_rejected(cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MODELS.build(cfg)


def test_wrong_number_of_class_weights_is_rejected(logits: Tensor, labels: Tensor) -> None:
    for cfg in (dict(type=LOSSES[0], class_weight=[1, 2]), dict(type=LOSSES[1], class_weight=[1]),
                dict(type="ClassBalancedLoss", class_counts=[1, 2])):
        with pytest.raises(ConfigError, match="class_weight: got .*, expected 4"):
            MODELS.build(cfg)(logits, labels)


def test_mmdet_losses_of_same_name_stay_registered() -> None:
    from mmdet.models.losses import CrossEntropyLoss, FocalLoss

    assert MODELS.get("CrossEntropyLoss") is CrossEntropyLoss
    assert MODELS.get("FocalLoss") is FocalLoss
