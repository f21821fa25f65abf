"""Freezing of a backbone's stages and batch norms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def freeze_stages(backbone: nn.Module, frozen_stages: int, stem: Sequence[nn.Module]) -> None:
    """Put the stem and the first stages in eval mode and disable their gradients.

    Args:
        backbone: has ``stages`` and optionally ``norm<n>``, the output norm of stage n.
        frozen_stages: -1 none; 0 the stem; n also the first n stages with their norms.
        stem: the modules before the stages.
    """
    frozen = list(stem) if frozen_stages >= 0 else []
    children = dict(backbone.named_children())
    for index, stage in enumerate(children["stages"].children()):
        if index < frozen_stages:
            frozen.append(stage)
            if f"norm{index}" in children:
                frozen.append(children[f"norm{index}"])
    for module in frozen:
        module.eval()
        module.requires_grad_(False)


def freeze_bn(backbone: nn.Module) -> None:
    """Put every batch norm in eval mode, which freezes its running statistics."""
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
