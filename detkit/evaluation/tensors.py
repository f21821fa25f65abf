"""Tensors of a model's output as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def to_numpy(values: Any) -> NDArray[Any]:
    """The values of a tensor, an array or a number as a NumPy array.

    bfloat16, which a validation loop under autocast gives and NumPy lacks, becomes float32.
    """
    if not hasattr(values, "detach"):
        return np.asarray(values)
    values = values.detach().cpu()
    return np.asarray(values.float() if values.dtype == torch.bfloat16 else values)
