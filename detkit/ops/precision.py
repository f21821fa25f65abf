"""In which arithmetic the operators work, whatever the caller's tensors and context are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """Choose one floating dtype for tensors that meet in an operator.

    Args:
        tensors: at least one, floating, of any shapes; under autocast mmcv hands over mixtures.

    Returns:
        The widest of their dtypes, and float32 at the least: torchvision's kernels want one dtype
        and have no bfloat16, and half-precision coordinates are off by up to 1/16 pixel at 128.
    """
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)


@contextmanager
def no_grad_no_autocast(device: torch.device) -> Iterator[None]:
    """Switch autograd and autocast off, as a compiled kernel would not see them either.

    Args:
        device: where the operator's tensors are.
    """
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
