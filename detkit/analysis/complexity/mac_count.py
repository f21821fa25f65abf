"""Count the multiply-adds of a forward pass by module."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torchvision  # noqa: F401  (registers its kernels with torch)
from torch import nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from detkit.models.layers.deform_conv import DeformConv2d

# torch counts a multiply-add as two FLOPs, papers as one.
FLOPS_PER_MAC = 2
# Errors of torch for operators that read values, or that have no shape function.
_FAKE_TENSOR_ERRORS = (
    fake_tensor.DataDependentOutputException,
    fake_tensor.DynamicOutputShapeException,
    fake_tensor.UnsupportedFakeTensorException,
    fake_tensor.UnsupportedMutationAliasingException,
    fake_tensor.UnsupportedOperatorException,
    NotImplementedError,
)
# RuntimeErrors of reading values from Python, as by numpy(), tolist(), and torch.as_tensor of a
# list of tensors.
_FAKE_TENSOR_MESSAGES = ("data is not allocated yet", "not supported for tensor subclasses")


def count_macs(model: nn.Module, fn: Callable[[], object]) -> dict[str, int]:
    """Count the multiply-adds of ``fn`` by module.

    Counted are convolutions, linear layers and matrix products, including those of attention;
    norms, activations, biases and interpolation are not. A deformable convolution counts as a
    plain one with its weight, without sampling; a ``DeformConv2d`` must be in ``model``.

    Args:
        model: has the modules. Not changed.
        fn: runs the model, or modules of it; fake tensors are enough.

    Returns:
        the multiply-adds of each module by its name in ``model``, without those of its submodules;
        '' for those outside all modules. Modules without any are left out.

    Source: torch.utils.flop_counter, halved.
    """
    flops_by_module: dict[str, int] = defaultdict(int)
    with FlopCounterMode(display=False, custom_mapping=_FLOP_FORMULAS) as counter:
        # Not the counter's own counts by module: a head that the decoder calls (Deformable DETR
        # with box refinement) would count in both.
        # Of each running module: the counter when it started, and the FLOPs of modules it called.
        stack = [[0, 0]]

        def on_enter(module: nn.Module, inputs: Any) -> None:
            stack.append([counter.get_total_flops(), 0])

        def on_exit(name: str, module: nn.Module, output: Any) -> None:
            before, child_flops = stack.pop()
            flops = counter.get_total_flops() - before
            stack[-1][1] += flops
            if isinstance(module, DeformConv2d):
                # Its operators differ between devices, and some have no formula.
                flops_by_module[name] += _deform_conv2d_flops(
                    (), module.weight.shape, out_shape=output.shape
                )
            else:
                flops_by_module[name] += flops - child_flops

        def make_end_hook(name: str) -> Callable[..., None]:
            return lambda module, inputs, output: on_exit(name, module, output)

        handles = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(on_enter))
            handles.append(module.register_forward_hook(make_end_hook(name)))
        try:
            with torch.no_grad(), _disable_gradients(model), _disable_mha_fast_path():
                fn()
        finally:
            for handle in handles:
                handle.remove()
    flops_by_module[""] += counter.get_total_flops() - stack[0][1]
    return {name: count // FLOPS_PER_MAC for name, count in flops_by_module.items() if count}


@contextmanager
def fake_tensor_mode(model: nn.Module) -> Iterator[None]:
    """Context in which CPU tensors have a shape but no data, for a fast forward pass.

    Args:
        model: if built on the meta device, it is moved to fake CPU tensors.

    Raises:
        Exception: any error of the model; see ``needs_real_tensors``.
    """
    # Not the meta device: models use the device of tensors, and few support that one.
    with _silence_fake_tensor_log(), FakeTensorMode(allow_non_fake_inputs=True):
        if any(weight.is_meta for weight in model.parameters()):
            model.to_empty(device="cpu")
        yield


def needs_real_tensors(error: BaseException) -> bool:
    """Whether ``error`` within ``fake_tensor_mode`` is due to tensors without data."""
    message = str(error)
    return isinstance(error, _FAKE_TENSOR_ERRORS) or any(
        part in message for part in _FAKE_TENSOR_MESSAGES
    )


@contextmanager
def _silence_fake_tensor_log() -> Iterator[None]:
    # FakeTensorMode logs the traceback of errors that it raises.
    log = logging.getLogger(fake_tensor.__name__)
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


@contextmanager
def _disable_gradients(model: nn.Module) -> Iterator[None]:
    # torch's ModuleTracker needs the autograd history of tensors that require gradients, and a
    # view of a weight made under no_grad has none.
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trainable:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trainable:
            weight.requires_grad_(True)


@contextmanager
def _disable_mha_fast_path() -> Iterator[None]:
    # The fast path of torch's attention is one operator without a formula.
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _deform_conv2d_flops(
    input: Sequence[int], weight: Sequence[int], *others: Any, out_shape: Sequence[int]
) -> int:
    return FLOPS_PER_MAC * math.prod(out_shape) * math.prod(weight[1:])


def _mv_flops(matrix: Sequence[int], *others: Any, out_shape: Sequence[int]) -> int:
    return FLOPS_PER_MAC * math.prod(matrix)


def _addmv_flops(
    sum: Sequence[int], matrix: Sequence[int], *others: Any, out_shape: Sequence[int], **scale: Any
) -> int:
    return FLOPS_PER_MAC * math.prod(matrix)


# Operators for which torch has no formula.
_FLOP_FORMULAS = {
    torch.ops.torchvision.deform_conv2d: _deform_conv2d_flops,
    torch.ops.aten.mv: _mv_flops,
    torch.ops.aten.addmv: _addmv_flops,
}
