"""The operators that an exported graph may use: an allowlist of those that compute on tensors.

torch also has operators that open files or access raw memory, so a whole namespace is too wide. A
model that needs another operator fails at its export, not when the file is read.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch

ATEN = frozenset("""
__and__ __or__ __xor__ _softmax abs acos adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_max_pool2d add add_ addcdiv addcmul addmm alias all amax amin any arange argmax argmin
argsort asin atan atan2 avg_pool1d avg_pool2d baddbmm batch_norm bitwise_and bitwise_not bitwise_or
bmm broadcast_to bucketize cat cdist ceil channel_shuffle chunk clamp clamp_ clamp_max clamp_min
clone col2im contiguous conv1d conv2d conv3d conv_transpose2d copy_ cos cosh cumsum detach detach_
diff div div_ dot dropout dropout_ einsum elu elu_ embedding empty empty_like eq erf exp expand
expand_as expm1 eye feature_dropout fill fill_ flatten flip floor floor_divide fmod full full_like
gather ge gelu gelu_ glu group_norm gt hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh
hardtanh_ im2col index index_add index_fill index_fill_ index_put index_put_ index_select
instance_norm isfinite isinf isnan item layer_norm le leaky_relu leaky_relu_ lift_fresh_copy
linalg_vector_norm linear linspace log log10 log1p log2 log_softmax logical_and logical_not
logical_or logical_xor logit lstm lt masked_fill masked_fill_ masked_select matmul max max_pool2d
maximum mean meshgrid min minimum mish mish_ mm movedim mul mul_ narrow native_group_norm
native_layer_norm ne neg new_empty new_full new_ones new_zeros nonzero norm numpy_T one_hot ones
ones_like pad permute pixel_shuffle pixel_unshuffle pow prelu prod reciprocal relu relu6 relu_
remainder repeat repeat_interleave reshape reshape_as rms_norm roll round rsqrt rsub scalar_tensor
scaled_dot_product_attention scatter scatter_ scatter_add searchsorted select select_scatter selu
sigmoid sigmoid_ sign silu silu_ sin sinh slice slice_scatter softmax softplus sort split
split_with_sizes sqrt square squeeze stack std sub sub_ sum swapaxes sym_numel sym_size t take
take_along_dim tan tanh tanh_ tensor_split tile to topk transpose tril triu type_as unbind unflatten
unfold unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_nearest2d var view view_as where
zero_ zeros zeros_like
""".split())
TORCHVISION = frozenset({"nms", "roi_align", "deform_conv2d"})
# Operators on integers: computations with the batch size.
SCALAR_OPERATORS: dict[str, Callable[..., Any]] = {
    f"operator.{item.__name__}": item for item in (
        operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.neg,
        operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
}
GETITEM = "operator.getitem"
MAX_INTEGER = 2**63


def operator_name(target: Any) -> str:
    """The name, in a file, of the function of a ``torch.export`` graph's node."""
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    return f"operator.{getattr(target, '__name__', type(target).__name__)}"


def resolve_operator(name: str) -> Callable[..., Any]:
    """The function of a name that `operator_name` returned.

    Raises:
        LookupError: the operator is not allowed.
    """
    if name == GETITEM:
        return operator.getitem
    if name in SCALAR_OPERATORS:
        return _bounded(SCALAR_OPERATORS[name])
    namespace, _, rest = name.partition(".")
    base, _, overload = rest.partition(".")
    if not overload or base not in {"aten": ATEN, "torchvision": TORCHVISION}.get(namespace, ()):
        raise LookupError(f"the operator {name[:80]!r}")
    if namespace == "torchvision":
        import torchvision  # noqa: F401  registers its operators
    result = getattr(getattr(getattr(torch.ops, namespace), base), overload, None)
    if not isinstance(result, torch._ops.OpOverload) or not _takes_tensors(result):
        raise LookupError(f"the operator {name[:80]!r}")
    return _safe_roi_align if name == "torchvision.roi_align.default" else result


def _takes_tensors(operator: torch._ops.OpOverload) -> bool:
    """Whether it takes or returns a tensor; some names have overloads for lists and strings."""
    schema = operator._schema
    return any("Tensor" in str(item.type) for item in (*schema.arguments, *schema.returns))


def _bounded(compute: Callable[..., Any]) -> Callable[..., Any]:
    """``compute`` with results limited to 64 bits, since Python's integers grow without limit."""
    def bounded(*numbers: Any) -> Any:
        result = compute(*numbers)
        if isinstance(result, int) and abs(result) >= MAX_INTEGER:
            raise ValueError(f"an integer of the graph exceeds 64 bits ({compute.__name__})")
        return result

    return bounded


def _safe_roi_align(features: torch.Tensor, rois: torch.Tensor, *rest: Any) -> torch.Tensor:
    """torchvision's roi_align with batch indices clamped, which it does not check itself."""
    index = rois[:, :1].nan_to_num().clamp(0, max(features.shape[0] - 1, 0))
    result: torch.Tensor = torch.ops.torchvision.roi_align.default(
        features, torch.cat([index, rois[:, 1:]], 1), *rest)
    return result
