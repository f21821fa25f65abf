"""What mmcv asks its extension about the compiler that made it: there was none."""

from __future__ import annotations

import torch


def get_compiler_version() -> str:
    """Say that nothing was compiled; it appears in mmcv's and mmdet's environment report."""
    return "none (detkit.ops)"


def get_compiling_cuda_version() -> str:
    """Give the CUDA version that torch's and torchvision's kernels were made with."""
    return torch.version.cuda or "not available"
