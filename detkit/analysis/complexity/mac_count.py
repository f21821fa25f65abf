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
FLOPS_A_PAIR = 2
# What torch raises where an operator looks at values, or knows no shapes for what it makes.
_NEEDS_CONTENT = (
    fake_tensor.DataDependentOutputException,
    fake_tensor.DynamicOutputShapeException,
    fake_tensor.UnsupportedFakeTensorException,
    fake_tensor.UnsupportedMutationAliasingException,
    fake_tensor.UnsupportedOperatorException,
    NotImplementedError,
)
# And the plain RuntimeErrors of a tensor that is read from Python, as by torch.as_tensor of a list
# of tensors, numpy() and tolist().
_ASKS_FOR_CONTENT = ("data is not allocated yet", "not supported for tensor subclasses")


def multiply_adds(model: nn.Module, work: Callable[[], object]) -> dict[str, int]:
    """Count the multiply-adds of ``work`` by the module that makes them.

    Convolutions, linear layers and matrix products count, those of attention with them. Norms,
    activations, biases and interpolation do not. A deformable convolution counts as a plain one
    of its weight, and its sampling as interpolation; a ``DeformConv2d`` must be in ``model``.

    Args:
        model: whose modules are told apart. Nothing of it is left changed.
        work: runs the model, or parts of it; shapes without content are enough.

    Returns:
        for each module that makes some: its own, not those of the modules in it. The name is the
        module's in ``model``, '' for what is made outside of all of them. Together they are all.

    Source: torch.utils.flop_counter, halved.
    """
    own: dict[str, int] = defaultdict(int)
    with FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter:
        # For each module that runs now: the counter at its start, and what modules in it added.
        running = [[0, 0]]

        def begin(module: nn.Module, inputs: Any) -> None:
            running.append([counter.get_total_flops(), 0])

        def finish(name: str, module: nn.Module, output: Any) -> None:
            before, inside = running.pop()
            made = counter.get_total_flops() - before
            running[-1][1] += made
            if isinstance(module, DeformConv2d):
                # What it runs differs between devices, and some of that has no formula.
                own[name] += _deform_conv2d((), module.weight.shape, out_shape=output.shape)
            else:
                own[name] += made - inside

        def end_of(name: str) -> Callable[..., None]:
            return lambda module, inputs, output: finish(name, module, output)

        handles = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(begin))
            handles.append(module.register_forward_hook(end_of(name)))
        try:
            with torch.no_grad(), _without_gradients(model), _without_fast_path():
                work()
        finally:
            for handle in handles:
                handle.remove()
    own[""] += counter.get_total_flops() - running[0][1]
    return {name: count // FLOPS_A_PAIR for name, count in own.items() if count}


@contextmanager
def shapes_alone(model: nn.Module) -> Iterator[None]:
    """Within, tensors of the CPU have a shape and no content: a forward pass costs next to nothing.

    Args:
        model: may have been built on the meta device, and is then moved to such tensors.

    Raises:
        Exception: whatever a model raises; see ``needs_content``.
    """
    # Not the meta device: models ask a tensor for its device, and few know that one.
    with _without_traceback(), FakeTensorMode(allow_non_fake_inputs=True):
        if any(weight.is_meta for weight in model.parameters()):
            model.to_empty(device="cpu")
        yield


def needs_content(error: BaseException) -> bool:
    """Whether ``error``, raised within `shapes_alone`, says that shapes are not enough."""
    words = str(error)
    return isinstance(error, _NEEDS_CONTENT) or any(part in words for part in _ASKS_FOR_CONTENT)


@contextmanager
def _without_traceback() -> Iterator[None]:
    # It logs the traceback of what it raises as well.
    log = logging.getLogger(fake_tensor.__name__)
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    # torch's tracker looks for the history of whatever wants a gradient, and a view of a weight
    # that was taken under no_grad has none.
    wanting = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in wanting:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in wanting:
            weight.requires_grad_(True)


@contextmanager
def _without_fast_path() -> Iterator[None]:
    # torch's attention as one operator, which has no formula.
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _deform_conv2d(
    input: Sequence[int], weight: Sequence[int], *others: Any, out_shape: Sequence[int]
) -> int:
    return FLOPS_A_PAIR * math.prod(out_shape) * math.prod(weight[1:])


def _product_with_vector(matrix: Sequence[int], *others: Any, out_shape: Sequence[int]) -> int:
    return FLOPS_A_PAIR * math.prod(matrix)


def _sum_and_product_with_vector(
    sum: Sequence[int], matrix: Sequence[int], *others: Any, out_shape: Sequence[int], **scale: Any
) -> int:
    return FLOPS_A_PAIR * math.prod(matrix)


# What torch has no formula for.
_FORMULAS = {
    torch.ops.torchvision.deform_conv2d: _deform_conv2d,
    torch.ops.aten.mv: _product_with_vector,
    torch.ops.aten.addmv: _sum_and_product_with_vector,
}
