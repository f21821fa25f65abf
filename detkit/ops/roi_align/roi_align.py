"""RoIAlign with the signatures of mmcv's extension, by the fastest implementation.

Legend: B images, C channels, H x W feature map; R RoIs; P x Q bins.

Average pooling is torchvision's kernel on CUDA and for small inputs on the CPU, else
``sparse_average``. Max pooling is plain torch everywhere. Sums are float32, or float64 for float64
features: a half-precision map under autocast is converted first, because torchvision has no such
kernel on the CPU (and no backward), and a bfloat16 coordinate of 1000 pixels has an error of 4.
"""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  (registers its kernels with torch)
from torch import Tensor

from detkit.ops.precision import working_dtype
from detkit.ops.roi_align.max_samples import roi_align_max_backward, roi_align_max_forward
from detkit.ops.roi_align.sparse_average import roi_align_avg_backward, roi_align_avg_forward

MAX = 0
OUTSIDE_MAP = -1e6  # pixels

# sparse_average first copies the map and computes weights; torchvision's kernel has no setup, but
# takes longer for each output value. Measured on one thread, the best case of torchvision: the
# number of output values at which both take the same time for a small map, and the number of map
# values that cost as much as one output value.
FORWARD_MIN_VALUES, FORWARD_MAP_SHARE = 80_000, 6
BACKWARD_MIN_VALUES, BACKWARD_MAP_SHARE = 10_000, 30


def roi_align_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Sample the features of each RoI on a grid and write a value for each bin.

    Args:
        features: (B, C, H, W), any floating point dtype.
        rois: (R, 5) floating point: image, x1, y1, x2, y2, pixels of the network input. R may be 0.
            Samples more than a pixel outside the map are 0. An RoI that is not finite, or has
            negative size at sampling_ratio 0, gives 0.
        output: (R, C, P, Q), filled.
        argmax_y: (R, C, P, Q), filled, for max pooling; (0,) otherwise.
        argmax_x: the same.
        aligned_height: P.
        aligned_width: Q.
        spatial_scale: feature map pixels for an image pixel.
        sampling_ratio: samples of a bin along each axis; 0 for its size, rounded up.
        pool_mode: 0 for the maximum of the samples of a bin, 1 for their average.
        aligned: whether pixel centers, instead of corners, have integer coordinates.

    Source: Mask R-CNN (arXiv 1703.06870). Agrees with torchvision.ops.roi_align.
    """
    if output.numel() == 0:
        return
    boxes = _replace_invalid_rois(rois.to(working_dtype(features)), sampling_ratio, aligned)
    if pool_mode == MAX:
        roi_align_max_forward(
            features, boxes, output, argmax_y, argmax_x, spatial_scale, sampling_ratio, aligned
        )
    elif features.device.type == "cpu" and (
        output.numel() >= FORWARD_MIN_VALUES + features.numel() / FORWARD_MAP_SHARE
    ):
        roi_align_avg_forward(features, boxes, output, spatial_scale, sampling_ratio, aligned)
    else:
        averages = torch.ops.torchvision.roi_align(
            features.to(boxes.dtype),
            boxes,
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
        output.copy_(averages)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient of the features into ``grad_input``.

    Args:
        grad_output: (R, C, P, Q), any floating point dtype. R may be 0.
        rois: as for the forward pass, as are the sizes and options.
        argmax_y: from the forward pass.
        argmax_x: the same.
        grad_input: (B, C, H, W), filled.
    """
    if grad_input.numel() == 0 or grad_output.numel() == 0:
        grad_input.zero_()
        return
    boxes = _replace_invalid_rois(rois.to(working_dtype(grad_input)), sampling_ratio, aligned)
    options = (spatial_scale, sampling_ratio, aligned)
    if pool_mode == MAX:
        roi_align_max_backward(grad_output, boxes, argmax_y, argmax_x, grad_input, *options)
    elif grad_input.device.type == "cpu" and (
        grad_output.numel() >= BACKWARD_MIN_VALUES + grad_input.numel() / BACKWARD_MAP_SHARE
    ):
        roi_align_avg_backward(grad_output, boxes, grad_input, *options)
    else:
        sums = torch.ops.torchvision._roi_align_backward(
            grad_output.to(boxes.dtype),
            boxes,
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
        grad_input.copy_(sums)


def _replace_invalid_rois(boxes: Tensor, sampling_ratio: int, aligned: bool) -> Tensor:
    """Move RoIs that torchvision's kernel cannot handle (endless loop, crash) outside the map."""
    invalid = ~torch.isfinite(boxes).all(1)
    if aligned and sampling_ratio <= 0:
        invalid |= (boxes[:, 3:] < boxes[:, 1:3]).any(1)
    outside = boxes.new_tensor([0, OUTSIDE_MAP, OUTSIDE_MAP, OUTSIDE_MAP, OUTSIDE_MAP])
    return torch.where(invalid[:, None], outside, boxes)
