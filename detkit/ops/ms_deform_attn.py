"""Multi-scale deformable attention with the signatures of mmcv's extension, by ``grid_sample``.

B: images; S: positions of all levels; M: heads; C: channels of a head; Q: queries; L: levels;
P: points of a level. Locations are (x, y), 0 to 1 over a level's width and height, edge to edge.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from detkit.ops.precision import no_grad_no_autocast, working_dtype


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Sum the sampled values of each query, weighted by attention.

    Args:
        value: (B, S, M, C) floating point.
        value_spatial_shapes: (L, 2) integer, (height, width).
        value_level_start_index: (L,) integer, index of each level's first position in S.
        sampling_locations: (B, Q, M, L, P, 2) floating; outside 0..1 the values are 0.
        attention_weights: (B, Q, M, L, P) floating.
        im2col_step: batch size of mmcv's kernel; does not change the result.

    Returns:
        (B, Q, M * C) in the dtype of ``value``. B and Q may be 0.

    Source: Deformable DETR (arXiv 2010.04159), eq. 3.
    """
    with no_grad_no_autocast(value.device):
        dtype = working_dtype(value, sampling_locations, attention_weights)
        attended = _attend(
            value.to(dtype),
            _levels(value_spatial_shapes, value_level_start_index),
            sampling_locations.to(dtype),
            attention_weights.to(dtype),
        )
        return attended.to(value.dtype)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients of values, locations and attention.

    Args:
        grad_output: (B, Q, M * C) floating.
        grad_value, grad_sampling_loc, grad_attn_weight: shaped as their tensors; overwritten.
    """
    with no_grad_no_autocast(value.device):
        dtype = working_dtype(value, sampling_locations, attention_weights)
        sources = [
            tensor.detach().to(dtype).requires_grad_()
            for tensor in (value, sampling_locations, attention_weights)
        ]
        with torch.enable_grad():
            levels = _levels(value_spatial_shapes, value_level_start_index)
            attended = _attend(sources[0], levels, sources[1], sources[2])
        gradients = torch.autograd.grad(attended, sources, grad_output.to(dtype))
        for target, gradient in zip((grad_value, grad_sampling_loc, grad_attn_weight), gradients):
            target.copy_(gradient)


def _levels(shapes: Tensor, starts: Tensor) -> list[tuple[int, int, int]]:
    return [(start, *shape) for start, shape in zip(starts.tolist(), shapes.tolist())]


def _attend(
    value: Tensor, levels: list[tuple[int, int, int]], locations: Tensor, attention: Tensor
) -> Tensor:
    images, _, heads, channels = value.shape
    queries = locations.shape[1]
    # grid_sample has coordinates from -1 to 1 between the same edges.
    grids = (2 * locations - 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 1)  # (B*M, L, Q, P, 2)
    weights = attention.permute(0, 2, 3, 1, 4).flatten(0, 1)  # (B*M, L, Q, P)
    total = value.new_zeros((images * heads, channels, queries))
    for level, (start, height, width) in enumerate(levels):
        cells = value[:, start : start + height * width]  # (B, H*W, M, C)
        maps = cells.permute(0, 2, 3, 1).reshape(images * heads, channels, height, width)
        sampled = grid_sample(
            maps, grids[:, level], mode="bilinear", padding_mode="zeros", align_corners=False
        )  # (B*M, C, Q, P)
        total = total + (sampled * weights[:, level].unsqueeze(1)).sum(-1)
    return total.view(images, heads * channels, queries).transpose(1, 2).contiguous()
