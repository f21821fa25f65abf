"""Sigmoid and softmax focal loss, forward and backward, with the signatures of mmcv's extension.

Legend: N samples; C classes without background. The log of the sigmoid is computed from the
logits, so that it is accurate where the probability is 1 in float32 (a logit of 20), unlike in
mmcv's kernel, which uses probabilities.

Source: Focal Loss (arXiv 1708.02002), eq. 5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from detkit.ops.precision import working_dtype


def sigmoid_focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of each logit into ``output``.

    Args:
        logits: (N, C) floating point. N may be 0.
        target: (N,) int64, 0 to C - 1; any other value is background.
        weight: (C,) factor on each sample by its class, background 1; or (0,) for none.
        output: (N, C), filled.
        gamma: exponent, >= 0.
        alpha: weight of positives, 0 to 1; negatives have 1 - alpha.
    """
    x = logits.to(working_dtype(logits))
    is_class = _is_class(target, x)
    p = torch.sigmoid(x)
    positive = alpha * (1 - p).pow(gamma) * F.logsigmoid(x)
    negative = (1 - alpha) * p.pow(gamma) * F.logsigmoid(-x)
    output.copy_(-torch.where(is_class, positive, negative) * _sample_weights(target, weight, x))


def sigmoid_focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad_logits: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each loss with respect to its logit into ``grad_logits`` (N, C).

    Args:
        logits: as for the forward pass, as are target, weight, gamma and alpha.
        grad_logits: (N, C), filled; the caller multiplies it by the output gradient.
    """
    x = logits.to(working_dtype(logits))
    is_class = _is_class(target, x)
    p = torch.sigmoid(x)
    q = torch.sigmoid(-x)
    positive = alpha * q.pow(gamma) * (q - gamma * p * F.logsigmoid(x))
    negative = (1 - alpha) * p.pow(gamma) * (gamma * q * F.logsigmoid(-x) - p)
    grad_logits.copy_(-torch.where(is_class, positive, negative) *
                      _sample_weights(target, weight, x))


def softmax_focal_loss_forward(
    softmax: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of each sample into ``output``.

    Args:
        softmax: (N, C) floating point, rows sum to 1. N may be 0.
        target: (N,) int64, below C; a negative value has no loss.
        weight: (C,) factor on each sample by its class; or (0,) for none.
        output: (N,), filled.
        gamma: exponent, >= 0.
        alpha: factor on every loss.
    """
    p = _probability(softmax, target)
    loss = -alpha * (1 - p).pow(gamma) * _safe_log(p)
    output.copy_(torch.where(target >= 0, loss, 0.0) * _sample_weights(target, weight, p)[:, 0])


def softmax_focal_loss_backward(
    softmax: Tensor,
    target: Tensor,
    weight: Tensor,
    buffer: Tensor,
    grad_logits: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the derivative of each loss with respect to its logits into ``grad_logits``.

    Args:
        softmax: as for the forward pass, as are target, weight, gamma and alpha.
        buffer: (N,), filled with the common factor of each row.
        grad_logits: (N, C), filled; the caller multiplies it by the output gradient.
    """
    p = _probability(softmax, target)
    q = (1 - p).clamp(min=torch.finfo(p.dtype).tiny)  # a negative power of 0 is infinite
    derivative = gamma * q.pow(gamma - 1) * p * _safe_log(p) - (1 - p).pow(gamma)
    shared_factor = torch.where(target >= 0, alpha * derivative, 0.0) * _sample_weights(
        target, weight, p)[:, 0]
    buffer.copy_(shared_factor)
    rows = softmax.to(working_dtype(softmax))
    grad_logits.copy_(shared_factor[:, None] * (_is_class(target, rows).to(rows.dtype) - rows))


def _is_class(target: Tensor, rows: Tensor) -> Tensor:
    return target[:, None] == torch.arange(rows.shape[1], device=rows.device)


def _sample_weights(target: Tensor, weight: Tensor, like: Tensor) -> Tensor:
    """Return the factor of each sample's loss, (N, 1), or (1, 1) without weights."""
    if weight.numel() == 0:
        return like.new_ones(1, 1)
    known = (target >= 0) & (target < weight.numel())
    class_weights = weight.to(like.dtype)[target.clamp(0, weight.numel() - 1)]
    return torch.where(known, class_weights, torch.ones_like(class_weights))[:, None]


def _probability(softmax: Tensor, target: Tensor) -> Tensor:
    rows = softmax.to(working_dtype(softmax))
    return rows.gather(1, target.clamp(min=0)[:, None])[:, 0]


def _safe_log(p: Tensor) -> Tensor:
    return p.clamp(min=torch.finfo(p.dtype).tiny).log()
