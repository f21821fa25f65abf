"""Replacement of ``mmcv._ext``: a table of operators, and an error for the others when called.

mmcv looks up every name when ``mmcv.ops`` is imported. A name in the table is imported then; any
other becomes a function that raises when it is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from detkit.errors import DetkitError

# mmcv's name -> "module:function", with mmcv's signature.
OPERATORS: dict[str, str] = {
    # boxes
    "bbox_overlaps": "detkit.ops.bbox_overlaps:bbox_overlaps",
    "line_nms_forward": "detkit.ops.line_nms:line_nms_forward",
    "nms": "detkit.ops.nms:nms",
    "nms_match": "detkit.ops.nms:nms_match",
    "softnms": "detkit.ops.nms:softnms",
    # RoI pooling
    "roi_align_backward": "detkit.ops.roi_align.roi_align:roi_align_backward",
    "roi_align_forward": "detkit.ops.roi_align.roi_align:roi_align_forward",
    "roi_pool_backward": "detkit.ops.roi_pool:roi_pool_backward",
    "roi_pool_forward": "detkit.ops.roi_pool:roi_pool_forward",
    # losses
    "sigmoid_focal_loss_backward": "detkit.ops.focal_loss:sigmoid_focal_loss_backward",
    "sigmoid_focal_loss_forward": "detkit.ops.focal_loss:sigmoid_focal_loss_forward",
    "softmax_focal_loss_backward": "detkit.ops.focal_loss:softmax_focal_loss_backward",
    "softmax_focal_loss_forward": "detkit.ops.focal_loss:softmax_focal_loss_forward",
    # environment report
    "get_compiler_version": "detkit.ops.build_info:get_compiler_version",
    "get_compiling_cuda_version": "detkit.ops.build_info:get_compiling_cuda_version",
    # sampling and reassembly; corner pooling needs no operator, it is torch.cummax
    "carafe_backward": "detkit.ops.carafe:carafe_backward",
    "carafe_forward": "detkit.ops.carafe:carafe_forward",
    "carafe_naive_backward": "detkit.ops.carafe:carafe_naive_backward",
    "carafe_naive_forward": "detkit.ops.carafe:carafe_naive_forward",
    "deform_conv_backward_input": "detkit.ops.deform_conv.deform_conv:deform_conv_backward_input",
    "deform_conv_backward_parameters": (
        "detkit.ops.deform_conv.deform_conv:deform_conv_backward_parameters"
    ),
    "deform_conv_forward": "detkit.ops.deform_conv.deform_conv:deform_conv_forward",
    "deform_roi_pool_backward": "detkit.ops.deform_roi_pool:deform_roi_pool_backward",
    "deform_roi_pool_forward": "detkit.ops.deform_roi_pool:deform_roi_pool_forward",
    "masked_col2im_forward": "detkit.ops.masked_conv:masked_col2im_forward",
    "masked_im2col_forward": "detkit.ops.masked_conv:masked_im2col_forward",
    "modulated_deform_conv_backward": (
        "detkit.ops.deform_conv.modulated_deform_conv:modulated_deform_conv_backward"
    ),
    "modulated_deform_conv_forward": (
        "detkit.ops.deform_conv.modulated_deform_conv:modulated_deform_conv_forward"
    ),
    "ms_deform_attn_backward": "detkit.ops.ms_deform_attn:ms_deform_attn_backward",
    "ms_deform_attn_forward": "detkit.ops.ms_deform_attn:ms_deform_attn_forward",
}


class MissingOperatorError(DetkitError, NotImplementedError):
    """An operator of mmcv that detkit does not implement was called."""


def add_operators(module: ModuleType) -> None:
    """Make every operator of mmcv an attribute of ``module``.

    Args:
        module: the new, empty ``mmcv._ext``. Every name without a leading underscore becomes a
            function; names with one raise AttributeError as usual.
    """

    def look_up(name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        function = get_operator(name)
        setattr(module, name, function)
        return function

    setattr(module, "__getattr__", look_up)
    setattr(module, "__doc__", "mmcv's operators, implemented in detkit.ops.")


def get_operator(name: str) -> Callable[..., Any]:
    """Get the function that implements an operator of mmcv.

    Args:
        name: mmcv's name, such as ``roi_align_forward``.

    Returns:
        The function in the table; for other names one that raises MissingOperatorError when
        called.
    """
    if name not in OPERATORS:
        return _missing(name)
    module_name, _, function_name = OPERATORS[name].partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module_name), function_name)
    return function


def _missing(name: str) -> Callable[..., NoReturn]:
    def raise_missing(*arguments: object, **options: object) -> NoReturn:
        raise MissingOperatorError(
            f"detkit does not implement mmcv's operator '{name}'",
            hint="install mmcv with its compiled extension, or use a model without this operator",
        )

    raise_missing.__name__ = raise_missing.__qualname__ = name
    return raise_missing
