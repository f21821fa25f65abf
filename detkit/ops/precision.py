"""The dtype of operators, and their context without autograd and autocast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """Get the common dtype for the tensors of an operator.

    Args:
        tensors: at least one, floating point; under autocast mmcv passes several dtypes.

    Returns:
        The widest of their dtypes, and float32 at least: torchvision's kernels need one dtype
        and lack bfloat16, and half-precision coordinates have an error of 1/16 pixel at 128.
    """
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)


@contextmanager
def no_grad_no_autocast(device: torch.device) -> Iterator[None]:
    """Disable autograd and autocast, as for a compiled kernel.

    Args:
        device: of the operator's tensors.
    """
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
