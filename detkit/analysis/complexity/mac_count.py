"""Multiply-adds of a forward pass, for each module that they are made in."""

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

# torch counts a multiplication and an addition as two, papers count the pair as one.
FLOPS_PER_MAC = 2
# What torch raises where an operator looks at values, or knows no shapes for what it makes.
_FAKE_TENSOR_ERRORS = (
    fake_tensor.DataDependentOutputException,
    fake_tensor.DynamicOutputShapeException,
    fake_tensor.UnsupportedFakeTensorException,
    fake_tensor.UnsupportedMutationAliasingException,
    fake_tensor.UnsupportedOperatorException,
    NotImplementedError,
)
# And the plain RuntimeErrors of a tensor that is read from Python, as by torch.as_tensor of a list
# of tensors, numpy() and tolist().
_FAKE_TENSOR_MESSAGES = ("data is not allocated yet", "not supported for tensor subclasses")


def count_macs(model: nn.Module, fn: Callable[[], object]) -> dict[str, int]:
    """Count the multiply-adds of ``fn`` by the module that makes them.

    Convolutions, linear layers and matrix products count, those of attention with them. Norms,
    activations, biases and interpolation do not. A deformable convolution counts as a plain one
    of its weight, and its sampling as interpolation; a ``DeformConv2d`` must be in ``model``.

    Args:
        model: whose modules are told apart. Nothing of it is left changed.
        fn: runs the model, or parts of it; shapes without content are enough.

    Returns:
        for each module that makes some: its own, not those of the modules in it. The name is the
        module's in ``model``, '' for what is made outside of all of them. Together they are all.

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
                # What it runs differs between devices, and some of that has no formula.
                flops_by_module[name] += _deform_conv2d_flops((), module.weight.shape,
                                                              out_shape=output.shape)
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
    """Within, tensors of the CPU have a shape and no content: a forward pass costs next to nothing.

    Args:
        model: may have been built on the meta device, and is then moved to such tensors.

    Raises:
        Exception: whatever a model raises; see ``needs_real_tensors``.
    """
    # Not the meta device: models ask a tensor for its device, and few know that one.
    with _silence_fake_tensor_log(), FakeTensorMode(allow_non_fake_inputs=True):
        if any(weight.is_meta for weight in model.parameters()):
            model.to_empty(device="cpu")
        yield


def needs_real_tensors(error: BaseException) -> bool:
    """Whether ``error``, raised within `fake_tensor_mode`, says that shapes are not enough."""
    message = str(error)
    return isinstance(error, _FAKE_TENSOR_ERRORS) or any(part in message
                                                         for part in _FAKE_TENSOR_MESSAGES)


@contextmanager
def _silence_fake_tensor_log() -> Iterator[None]:
    # It logs the traceback of what it raises as well.
    log = logging.getLogger(fake_tensor.__name__)
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


@contextmanager
def _disable_gradients(model: nn.Module) -> Iterator[None]:
    # torch's tracker looks for the history of whatever wants a gradient, and a view of a weight
    # that was taken under no_grad has none.
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
    # torch's attention as one operator, which has no formula.
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


# What torch has no formula for.
_FLOP_FORMULAS = {
    torch.ops.torchvision.deform_conv2d: _deform_conv2d_flops,
    torch.ops.aten.mv: _mv_flops,
    torch.ops.aten.addmv: _addmv_flops,
}
