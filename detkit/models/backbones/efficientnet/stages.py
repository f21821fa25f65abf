"""EfficientNet's stages: building and running their blocks.

Legend: B images, C channels, H and W height and width of the map in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from detkit.errors import ConfigError
from detkit.models.backbones.efficientnet.archs import EfficientNetArch
from detkit.models.backbones.efficientnet.conv import ConvStyle
from detkit.models.backbones.efficientnet.layers import FusedMBConv, MBConv
from detkit.models.backbones.efficientnet.scaling import scale_channels


def build_blocks(
    arch: EfficientNetArch, stage: int, style: ConvStyle, deform: bool = False
) -> list[nn.Module]:
    """Build the blocks of a stage.

    Args:
        arch: the drop path rate of a block is ``drop_path_rate`` times the fraction of the
            architecture's blocks before it, built or not.
        stage: index of the stage.
        style: of all convolutions.
        deform: whether the depthwise convolutions are deformable.

    Raises:
        ConfigError: ``deform`` for a stage without depthwise convolutions.

    Source: drop path rates as in the official release.
    """
    groups, rows = arch.scaled, arch.stages[stage]
    if deform and all(groups[row].kind == "fused" for row in rows):
        raise ConfigError("EfficientNet: deform_stages", got=stage,
                          expected="stages that have a depthwise convolution")
    num_blocks = sum(group.repeats for group in groups)
    num_blocks_before = sum(group.repeats for group in groups[: rows[0]])
    channels = groups[rows[0] - 1].channels if rows[0] else arch.stem_head_channels[0]
    blocks: list[nn.Module] = []
    for group in (groups[row] for row in rows):
        for repeat in range(group.repeats):
            sizes = (channels, group.channels, scale_channels(channels, group.expansion),
                     group.kernel, group.stride if repeat == 0 else 1)
            rate = arch.drop_path_rate * (num_blocks_before + len(blocks)) / num_blocks
            if group.kind == "fused":
                blocks.append(FusedMBConv(*sizes, style, rate))
            else:
                squeeze_channels = max(1, int(channels * group.squeeze)) if group.squeeze else 0
                blocks.append(MBConv(*sizes, squeeze_channels, style, rate, deform))
            channels = group.channels
    return blocks


class EfficientNetStage(nn.Sequential):
    """Blocks up to the next stride of 2.

    Args:
        blocks: at least one.
        with_cp: use activation checkpointing in each block.
    """

    def __init__(self, blocks: Sequence[nn.Module], *, with_cp: bool = False) -> None:
        super().__init__(*blocks)
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the stage's output."""
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        for block in self:
            if not recompute:
                x = block(x)
            elif torch.compiler.is_compiling():
                # In a compiled graph running statistics are updated once, even with recomputation;
                # and torch.compile accepts no other context functions.
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = checkpoint(block, x, use_reentrant=False,
                               context_fn=partial(_recompute_contexts, block))
        return x


def _recompute_contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts of a block's forward and recomputation; the second keeps running statistics."""
    return nullcontext(), _freeze_running_stats(block)


@contextmanager
def _freeze_running_stats(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, saved):
            norm.momentum, norm.num_batches_tracked = momentum, count
