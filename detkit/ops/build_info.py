"""Compiler versions for mmcv's environment report; nothing is compiled here."""

from __future__ import annotations

import torch


def get_compiler_version() -> str:
    """Report that nothing was compiled; used in mmcv's and mmdet's environment report."""
    return "none (detkit.ops)"


def get_compiling_cuda_version() -> str:
    """Return the CUDA version of torch's and torchvision's kernels."""
    return torch.version.cuda or "not available"
