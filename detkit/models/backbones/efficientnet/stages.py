"""EfficientNet's stages: which blocks they have, and how they are run.

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
        arch: says which; a block drops out with ``drop_path_rate`` times the share of the arch's
            blocks that stand before it, whether those are built or not.
        stage: its index.
        style: of all convolutions.
        deform: whether the depthwise convolutions are deformable.

    Raises:
        ConfigError: deformable is asked for, and no block of the stage has a depthwise one.

    Source: the blocks' rates are those of the official release.
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
    """Blocks up to the next halving of the resolution.

    Args:
        blocks: at least one.
        with_cp: recompute each block in the backward pass instead of keeping its activations.
    """

    def __init__(self, blocks: Sequence[nn.Module], *, with_cp: bool = False) -> None:
        super().__init__(*blocks)
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> this stage's map."""
        recompute = self.with_cp and self.training and torch.is_grad_enabled()
        for block in self:
            if not recompute:
                x = block(x)
            elif torch.compiler.is_compiling():
                # A traced block's statistics are written once, whatever is computed again; and
                # the tracer takes no contexts but those that choose what to keep.
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = checkpoint(block, x, use_reentrant=False,
                               context_fn=partial(_recompute_contexts, block))
        return x


def _recompute_contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts for a block's two runs, of which the second leaves the running statistics alone."""
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
