"""Relative position biases of timm's CoAtNets for maps of any size."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FeatureSize = tuple[int, int]


class DynamicRelPosBias(nn.Module):
    """Replaces timm's ``RelPosBias`` or ``RelPosMlp``: same parameters, biases for any map size.

    A table is resized bicubically, as for a Swin with another window size; an MLP is evaluated at
    the offsets of the map. At the native size the biases are timm's.

    Args:
        rel_pos_module: the module to replace; its parameters keep their names.

    Attributes:
        size: (rows, columns) of the current map; see ``update_feature_size``.

    Source: arXiv 2106.04803, section 2.1, for the table; arXiv 2111.09883, section 3.3, for the
    MLP. Agrees with timm's ``set_input_size`` for the MLP.
    """

    def __init__(self, rel_pos_module: Any) -> None:
        super().__init__()
        self.native_size: FeatureSize = (int(rel_pos_module.window_size[0]),
                                         int(rel_pos_module.window_size[1]))
        self.size: FeatureSize = self.native_size
        self.has_table = hasattr(rel_pos_module, "relative_position_bias_table")
        if self.has_table:
            self.relative_position_bias_table = rel_pos_module.relative_position_bias_table
        else:
            self.mlp = rel_pos_module.mlp

    def get_bias(self) -> Tensor:
        """Get the biases (1, heads, N, N) for a map of N = rows x columns."""
        rows, columns = self.size
        grid: Tensor = self._resized_table() if self.has_table else self._mlp_biases(
        )  # (offsets, heads)
        device = grid.device
        row = torch.arange(rows, device=device).repeat_interleave(columns)
        column = torch.arange(columns, device=device).repeat(rows)
        dy = row[:, None] - row[None, :] + rows - 1
        dx = column[:, None] - column[None, :] + columns - 1
        biases = grid[dy * (2 * columns - 1) + dx]
        return biases.permute(2, 0, 1).unsqueeze(0).contiguous()

    def forward(self, attn: Tensor, shared_rel_pos: Tensor | None = None) -> Tensor:
        """Add the biases to logits (B, heads, N, N)."""
        return attn + self.get_bias()

    def _resized_table(self) -> Tensor:
        table: Tensor = self.relative_position_bias_table
        if self.size == self.native_size:
            return table
        (old_rows, old_columns), (rows, columns) = self.native_size, self.size
        grid = table.t().reshape(1, -1, 2 * old_rows - 1, 2 * old_columns - 1)
        new_size = (2 * rows - 1, 2 * columns - 1)
        grid = F.interpolate(grid, size=new_size, mode="bicubic", align_corners=False)
        resized: Tensor = grid.flatten(2)[0].t()
        return resized

    def _mlp_biases(self) -> Tensor:
        weight = self.mlp.fc1.weight
        rows, columns = (
            torch.arange(1 - n, n, device=weight.device, dtype=weight.dtype) for n in self.size
        )
        offsets = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
        offsets = offsets.sign() * offsets.abs().log1p()
        biases: Tensor = self.mlp(offsets)
        return biases.flatten(0, 1)


def update_feature_size(attention: Any, inputs: tuple[Tensor, ...]) -> None:
    """Forward pre-hook of attention: set the size of its biases from the map (B, C, H, W)."""
    attention.rel_pos.size = tuple(map(int, inputs[0].shape[-2:]))


def enable_dynamic_img_size(model: nn.Module) -> None:
    """Make each global attention of ``model`` work with maps of any size.

    Attention within windows or grids is not changed: its size is fixed.
    """
    from timm.models.maxxvit import TransformerBlock2d

    for block in model.modules():
        if not isinstance(block, TransformerBlock2d):
            continue
        biases = block.attn.rel_pos
        class_name = type(biases).__name__
        if class_name == "RelPosBias" or (class_name == "RelPosMlp" and biases.mode == "cr"):
            block.attn.rel_pos = DynamicRelPosBias(biases)
            block.attn.register_forward_pre_hook(update_feature_size)
