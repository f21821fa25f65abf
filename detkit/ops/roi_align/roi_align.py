"""RoIAlign at the level of mmcv's extension, on whichever form is quickest.

Legend: B images, C channels, H x W cells of the feature map; R RoIs; P x Q bins.

On CUDA the average is torchvision's kernel; on the CPU it is ours (roi_align_cpu) but for small
calls. The highest sample (max pooling) is plain torch everywhere. All sums are float32, float64
for float64 features: a half-precision map under autocast is widened first, because torchvision
has no such kernel on the CPU (backward not at all), and a coordinate of 1000 pixels in bfloat16
would be off by 4.
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

# Ours lays the whole map out anew and makes the weights before it sums; torchvision's starts at
# once, but takes longer for each value of each bin. So ours pays from some number of values on,
# and from some share of the map's. Measured on one thread, where torchvision is at its best:
# values at which both take equally long, for a small map, and the map's values that weigh as much
# as one of a bin.
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
    """Interpolate the features of each RoI on a grid and write a value for each bin.

    Args:
        features: (B, C, H, W), any floating dtype.
        rois: (R, 5) floating: image, x1, y1, x2, y2, pixels of the network input. R may be 0.
            RoIs may reach beyond the map; samples more than a cell outside are 0. An RoI that is
            not finite, or turned over and without a number of samples, gives 0.
        output: (R, C, P, Q), filled.
        argmax_y: (R, C, P, Q), filled, for max pooling; (0,) otherwise.
        argmax_x: the same.
        aligned_height: P.
        aligned_width: Q.
        spatial_scale: cells for one pixel.
        sampling_ratio: samples along each side of a bin; 0 for one for each cell begun.
        pool_mode: 0 for the highest sample of a bin, 1 for their average.
        aligned: whether pixels' centres, not their corners, lie on whole coordinates.

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
        grad_output: (R, C, P, Q), any floating dtype. R may be 0.
        rois: as for the forward pass, as are the sizes and options.
        argmax_y: what the forward pass wrote.
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
    """Put off every map what torchvision's kernel cannot take: it would not return, or worse."""
    invalid = ~torch.isfinite(boxes).all(1)
    if aligned and sampling_ratio <= 0:
        invalid |= (boxes[:, 3:] < boxes[:, 1:3]).any(1)
    outside = boxes.new_tensor([0, OUTSIDE_MAP, OUTSIDE_MAP, OUTSIDE_MAP, OUTSIDE_MAP])
    return torch.where(invalid[:, None], outside, boxes)
