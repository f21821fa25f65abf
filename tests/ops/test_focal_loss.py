"""mmcv's focal losses against torchvision and the definition."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

import detkit  # noqa: F401  (places the finder that mmcv.ops needs)


def samples(number: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = (torch.randn(number, 4, generator=generator) * 3).to(dtype)
    return logits.requires_grad_(), torch.arange(number) % 5  # class 4 is background


@pytest.mark.parametrize("number", [0, 1, 11])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_sigmoid_focal_loss_matches_torchvision(number: int, gamma: float) -> None:
    from mmcv.ops import sigmoid_focal_loss

    logits, target = samples(number)
    one_hot = F.one_hot(target, 5)[:, :4].to(logits)
    expected = torchvision.ops.sigmoid_focal_loss(logits, one_hot, 0.3, gamma)
    got = sigmoid_focal_loss(logits, target, gamma, 0.3, None, "none")
    torch.testing.assert_close(got, expected)
    slope = torch.rand(expected.shape, dtype=torch.float64)
    expected_grad = torch.autograd.grad(expected, logits, slope)
    torch.testing.assert_close(torch.autograd.grad(got, logits, slope), expected_grad)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_gradients_hold_in_float64(activation: str, reduction: str) -> None:
    import mmcv.ops

    loss = getattr(mmcv.ops, f"{activation}_focal_loss")
    logits, target = samples(7)
    weight = torch.tensor([0.5, 1, 2, 3], dtype=torch.float64)
    target = target.clamp(max=3)
    assert torch.autograd.gradcheck(
        lambda x: loss(x, target, 2.0, 0.25, weight, reduction), logits
    )


def test_sigmoid_focal_loss_is_accurate_where_probability_is_one() -> None:
    from mmcv.ops import sigmoid_focal_loss

    # background at a logit of 40: (1 - alpha) * 1 * log(1 + e^40) = 0.75 * 40
    loss = sigmoid_focal_loss(torch.tensor([[40.0]]), torch.tensor([1]), 2.0, 0.25, None, "sum")
    assert loss.item() == pytest.approx(30)


@pytest.mark.parametrize("number", [0, 9])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_softmax_focal_loss_matches_definition(number: int, gamma: float) -> None:
    from mmcv.ops import softmax_focal_loss

    logits, target = samples(number)
    target = target.clamp(max=3)
    weight = torch.tensor([0.5, 1, 2, 3], dtype=torch.float64)
    p = logits.softmax(1).gather(1, target[:, None])[:, 0]
    expected = -0.25 * weight[target] * (1 - p) ** gamma * p.log()
    got = softmax_focal_loss(logits, target, gamma, 0.25, weight, "none")
    torch.testing.assert_close(got, expected)
    expected_grad = torch.autograd.grad(expected.sum(), logits)
    # mmcv's backward of reduction "none" multiplies (N, C) by (N,) and fails
    total = softmax_focal_loss(logits, target, gamma, 0.25, weight, "sum")
    torch.testing.assert_close(torch.autograd.grad(total, logits), expected_grad)


def test_a_negative_target_has_no_softmax_loss() -> None:
    from mmcv.ops import softmax_focal_loss

    logits, _ = samples(2)
    loss = softmax_focal_loss(logits, torch.tensor([-1, -1]), 2.0, 0.25, None, "sum")
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_close_to_float32(activation: str, dtype: torch.dtype) -> None:
    import mmcv.ops

    loss = getattr(mmcv.ops, f"{activation}_focal_loss")
    logits, target = samples(6, dtype)
    target = target.clamp(max=3)
    with torch.autocast("cpu", torch.bfloat16):
        got = loss(logits, target, 2.0, 0.25, None, "sum")
    expected = loss(logits.detach().float(), target, 2.0, 0.25, None, "sum")
    torch.testing.assert_close(got.float(), expected, rtol=0.03, atol=0.01)
    got.backward()
    assert logits.grad.isfinite().all()
