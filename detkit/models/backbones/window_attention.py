"""Attention inside square windows of a feature map, the windows shifted in every second block.

Legend
    B: images in the batch; H, W: height and width of the map, in tokens; C: channels
    Hp, Wp: H and W, rounded up to whole windows; S: side of a window; T = S * S tokens in it
    V = (Hp / S) * (Wp / S) windows in an image, row by row; A: attention heads
Source: Swin Transformer (arXiv 2103.14030), sections 3.1 and 3.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FORBIDDEN = -100.0  # added to a logit: exp(-100) is 0 next to any other, and fits in float16


class WindowAttention(nn.Module):
    """Multi-head attention among the tokens of one window, with a learned bias for each offset.

    Args:
        channels: C, a multiple of ``heads``.
        heads: A.
        window_size: S.
        shift: tokens by which the windows are moved down and right; 0 leaves them in place.
        qkv_bias: whether query, key and value have an additive bias.
        qk_scale: factor of the logits; None means 1 / sqrt(C / A).
        attention_dropout: probability of dropping an attention weight while training.
        dropout: probability of dropping an output value while training.

    Raises:
        ValueError: ``channels`` is not a multiple of ``heads``.
    """

    relative_position_index: Tensor

    def __init__(
        self,
        channels: int,
        heads: int,
        window_size: int,
        shift: int = 0,
        *,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"attention: got {channels} channels for {heads} heads")
        self.heads = heads
        self.window_size = window_size
        self.shift = shift
        self.scale = float(qk_scale or (channels // heads) ** -0.5)
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros((2 * window_size - 1) ** 2, heads)
        )
        # Follows from the window's side alone: never stored, never loaded.
        self.register_buffer(
            "relative_position_index", _position_index(window_size), persistent=False
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Let the tokens of each window look at each other.

        Args:
            x: (B, H, W, C). B may be 0.
            mask: (V, 1, T, T), added to the logits, from ``window_mask`` for this map and this
                shift; None where nothing is to be forbidden.

        Returns:
            (B, H, W, C), dtype of the projection (x's, or autocast's).
        """
        batch, height, width, channels = x.shape
        side = self.window_size
        rows, columns = _whole_windows(height, width, side)
        shift_y, shift_x = _shifts(rows, columns, self.shift)
        padded = (rows * side, columns * side)
        if padded != (height, width):
            x = F.pad(x, (0, 0, 0, padded[1] - width, 0, padded[0] - height))
        if shift_y or shift_x:
            x = torch.roll(x, (-shift_y, -shift_x), (1, 2))
        x = x.view(batch, rows, side, columns, side, channels).transpose(2, 3)
        x = self._attend(x.reshape(-1, side * side, channels), batch, mask)
        x = x.view(batch, rows, columns, side, side, channels).transpose(2, 3)
        x = x.reshape(batch, *padded, channels)
        if shift_y or shift_x:
            x = torch.roll(x, (shift_y, shift_x), (1, 2))
        if padded != (height, width):
            x = x[:, :height, :width]
        out: Tensor = self.dropout(self.proj(x))
        return out

    def position_bias(self) -> Tensor:
        """(1, A, T, T): what is added to the logit of query and key for where they stand."""
        tokens = self.window_size**2
        table = self.relative_position_bias_table.t()
        return table[:, self.relative_position_index].view(1, self.heads, tokens, tokens)

    def _attend(self, windows: Tensor, batch: int, mask: Tensor | None) -> Tensor:
        """(B * V, T, C) -> (B * V, T, C), before the projection."""
        count, tokens, channels = windows.shape
        qkv = self.qkv(windows).view(count, tokens, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.position_bias()
        if mask is not None:
            bias = (bias + mask).repeat(batch, 1, 1, 1)
        attended = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias.to(query.dtype),
            dropout_p=self.attention_dropout if self.training else 0.0,
            scale=self.scale,
        )
        return attended.transpose(1, 2).reshape(count, tokens, channels)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, window_size={self.window_size}, shift={self.shift}"


def window_mask(
    height: int,
    width: int,
    window_size: int,
    shift: int,
    *,
    mask_padding: bool = False,
    device: torch.device | None = None,
) -> Tensor | None:
    """Forbid attention between tokens that share a shifted window but are not neighbours.

    The windows are shifted by rolling the map, so the last ones hold tokens of opposite edges.

    Args:
        height, width: H and W of the map, in tokens, before padding.
        window_size: S.
        shift: in tokens. An axis that is one window long is not shifted.
        mask_padding: also forbid attention between the map and its padding.
        device: where the mask is made.

    Returns:
        (V, 1, T, T) float32, 0 or -100, or None where nothing has to be forbidden.
    """
    rows, columns = _whole_windows(height, width, window_size)
    shift_y, shift_x = _shifts(rows, columns, shift)
    padding = mask_padding and (rows * window_size, columns * window_size) != (height, width)
    if not (shift_y or shift_x or padding):
        return None
    edge = height if mask_padding else rows * window_size
    vertical = _regions(edge, rows, window_size, shift_y, device)
    edge = width if mask_padding else columns * window_size
    horizontal = _regions(edge, columns, window_size, shift_x, device)
    # One number for each pair of regions; whatever pairs with padding (3) is padding.
    vertical, horizontal = vertical.view(rows, 1, -1, 1), horizontal.view(1, columns, 1, -1)
    region = vertical * 4 + horizontal
    if padding:
        region = region.masked_fill((vertical == 3) | (horizontal == 3), 15)
    region = region.view(rows * columns, 1, 1, window_size**2)
    differ = region != region.transpose(2, 3)
    return torch.zeros(differ.shape, device=device).masked_fill_(differ, FORBIDDEN)


def _regions(
    edge: int, count: int, side: int, shift: int, device: torch.device | None
) -> Tensor:
    """(count, S) int64 for one axis, rolled by ``shift``: 0 inner, 1 and 2 the two ends that
    meet in the last window, 3 padding (at and behind ``edge``)."""
    length = count * side
    place = torch.arange(length, device=device)
    region = (place >= length - side).long() + (place >= length - shift).long()
    if shift == 0:
        region = torch.zeros_like(region)
    return region.masked_fill((place + shift) % length >= edge, 3).view(count, side)


def _whole_windows(height: int, width: int, side: int) -> tuple[int, int]:
    """How many windows it takes to cover the map, downwards and across."""
    return -(-height // side), -(-width // side)


def _shifts(rows: int, columns: int, shift: int) -> tuple[int, int]:
    """The shift on each axis; where one window covers the axis a shift would only cut it."""
    return (shift if rows > 1 else 0), (shift if columns > 1 else 0)


def _position_index(side: int) -> Tensor:
    """(T * T,) int64: the row of the bias table for each query and key.

    The row is (dy + S - 1) * (2S - 1) + (dx + S - 1), with (dy, dx) from key to query.
    """
    y, x = torch.arange(side**2) // side, torch.arange(side**2) % side
    dy, dx = y[:, None] - y[None, :], x[:, None] - x[None, :]
    return ((dy + side - 1) * (2 * side - 1) + dx + side - 1).flatten()
