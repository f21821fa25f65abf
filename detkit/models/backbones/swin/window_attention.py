"""Window attention with relative position bias, for plain and shifted windows.

Legend
    B: images in the batch; H, W: height and width of the map, in tokens; C: channels
    Hp, Wp: H and W, rounded up to whole windows; S: side of a window; T = S * S tokens in it
    V = (Hp / S) * (Wp / S) windows in an image, in row order; A: attention heads
Source: Swin Transformer (arXiv 2103.14030), sections 3.1 and 3.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASK_VALUE = -100.0  # added to a logit: exp(-100) is 0 next to any other, and fits in float16


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with relative position bias.

    Args:
        channels: C, a multiple of ``heads``.
        heads: A.
        window_size: S.
        shift: shift of the windows, down and right, in tokens; 0 for none.
        qkv_bias: whether query, key and value have an additive bias.
        qk_scale: factor of the logits; None means 1 / sqrt(C / A).
        attention_dropout: dropout probability of attention weights during training.
        dropout: dropout probability of the output during training.

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
        # Determined by the window size, so not saved.
        self.register_buffer(
            "relative_position_index", _position_index(window_size), persistent=False
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Apply self-attention within each window.

        Args:
            x: (B, H, W, C). B may be 0.
            mask: (V, 1, T, T), added to the logits, from ``window_mask`` for this map and this
                shift; None for no mask.

        Returns:
            (B, H, W, C), dtype of the projection (x's, or autocast's).
        """
        _, height, width, _ = x.shape
        if torch.is_autocast_enabled(x.device.type):
            # The projection would cast anyway; casting first halves the memory traffic.
            x = x.to(torch.get_autocast_dtype(x.device.type))
        rows, columns = _num_windows(height, width, self.window_size)
        shift_y, shift_x = _shifts(rows, columns, self.shift)
        x = _pad_and_roll(x, 1, rows * self.window_size, shift_y)
        x = _pad_and_roll(x, 2, columns * self.window_size, shift_x)
        x = self._attend(x, rows, columns, mask)
        x = _roll_back_and_crop(x, 1, height, shift_y)
        x = _roll_back_and_crop(x, 2, width, shift_x)
        out: Tensor = self.dropout(self.proj(x))
        return out

    def position_bias(self) -> Tensor:
        """The relative position bias of the attention logits, (1, A, T, T)."""
        tokens = self.window_size**2
        table = self.relative_position_bias_table.t()
        return table[:, self.relative_position_index].view(1, self.heads, tokens, tokens)

    def _attend(self, x: Tensor, rows: int, columns: int, mask: Tensor | None) -> Tensor:
        """Attention without the output projection: (B, Hp, Wp, C) -> (B, Hp, Wp, C)."""
        shape = x.shape
        batch, _, _, channels = shape
        window_size, heads, size = self.window_size, self.heads, channels // self.heads
        tokens = window_size**2
        bias = self.position_bias()
        if mask is not None:
            bias = bias + mask
        bias = bias.to(x.dtype)
        if self._needs_bias_gradient(x):
            qkv = self.qkv(x).view(batch, rows, window_size, columns, window_size, 3, heads, size)
            qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, -1, heads, tokens, size)
            attended = self._explicit_attention(qkv, bias)
        else:
            x = x.view(batch, rows, window_size, columns, window_size, channels).transpose(2, 3)
            qkv = self.qkv(x.reshape(-1, tokens, channels)).view(-1, tokens, 3, heads, size)
            query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            if mask is not None and batch != 1:
                bias = bias.repeat(batch, 1, 1, 1)
            attended = F.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask=bias,
                dropout_p=self.attention_dropout if self.training else 0.0,
                scale=self.scale,
            )
        attended = attended.reshape(batch, rows, columns, heads, window_size, window_size, size)
        return attended.permute(0, 1, 4, 2, 5, 3, 6).reshape(shape)

    def _explicit_attention(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """Attention without the fused kernel: qkv (3, B * V, A, T, C / A), bias (1 or V, A, T, T).

        Returns:
            (B * V, A, T, C / A).
        """
        query, key, value = qkv.unbind(0)
        logits = (query * self.scale) @ key.transpose(-2, -1)
        # The bias has one entry for all windows, or one for each window of an image.
        logits = (logits.view(-1, *bias.shape) + bias).view(logits.shape)
        weights = F.dropout(logits.softmax(-1), self.attention_dropout, self.training)
        return weights @ value

    def _needs_bias_gradient(self, x: Tensor) -> bool:
        """Whether to avoid torch's fused attention.

        On the CPU it has no gradient for an additive mask, and torch's fallback takes 1.4 to 1.9
        times as long as the explicit form (forward + backward, windows of 49 tokens).
        """
        needs_grad = torch.is_grad_enabled() and self.relative_position_bias_table.requires_grad
        return needs_grad and x.device.type == "cpu"

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
    """Mask for attention between tokens of a shifted window that are not neighbors in the map.

    The windows are shifted by rolling the map, so the last ones have tokens of opposite edges.

    Args:
        height, width: H and W of the map, in tokens, before padding.
        window_size: S.
        shift: in tokens. An axis covered by one window is not shifted.
        mask_padding: also mask attention between the map and its padding.
        device: of the mask.

    Returns:
        (V, 1, T, T) float32, 0 or -100, or None where nothing is masked.
    """
    rows, columns = _num_windows(height, width, window_size)
    shift_y, shift_x = _shifts(rows, columns, shift)
    padding = mask_padding and (rows * window_size, columns * window_size) != (height, width)
    if not (shift_y or shift_x or padding):
        return None
    edge = height if mask_padding else rows * window_size
    vertical = _regions(edge, rows, window_size, shift_y, device)
    edge = width if mask_padding else columns * window_size
    horizontal = _regions(edge, columns, window_size, shift_x, device)
    # One index for each pair of regions; every pair with padding (3) is padding.
    vertical, horizontal = vertical.view(rows, 1, -1, 1), horizontal.view(1, columns, 1, -1)
    region = vertical * 4 + horizontal
    if padding:
        region = region.masked_fill((vertical == 3) | (horizontal == 3), 15)
    region = region.view(rows * columns, 1, 1, window_size**2)
    different_region = region != region.transpose(2, 3)
    return torch.zeros(different_region.shape,
                       device=device).masked_fill_(different_region, MASK_VALUE)


def _regions(
    edge: int, count: int, window_size: int, shift: int, device: torch.device | None
) -> Tensor:
    """Region index of each token along one axis after rolling, (count, S) int64: 0 inner, 1 and
    2 the two ends that meet in the last window, 3 padding (from ``edge`` on)."""
    length = count * window_size
    position = torch.arange(length, device=device)
    region = (position >= length - window_size).long() + (position >= length - shift).long()
    if shift == 0:
        region = torch.zeros_like(region)
    return region.masked_fill((position + shift) % length >= edge, 3).view(count, window_size)


def _num_windows(height: int, width: int, window_size: int) -> tuple[int, int]:
    """Number of windows that cover the map, (rows, columns)."""
    return -(-height // window_size), -(-width // window_size)


def _shifts(rows: int, columns: int, shift: int) -> tuple[int, int]:
    """The shift of each axis (y, x); 0 where one window covers the axis."""
    return (shift if rows > 1 else 0), (shift if columns > 1 else 0)


def _pad_and_roll(x: Tensor, axis: int, length: int, shift: int) -> Tensor:
    """Zero-pad to ``length`` and roll by ``-shift``, in one copy in forward and backward."""
    size = x.shape[axis]
    if size == length and shift == 0:
        return x
    first, rest = torch.split_with_sizes(x, [shift, size - shift], axis)
    padding = x.new_zeros([*x.shape[:axis], length - size, *x.shape[axis + 1 :]])
    return torch.cat([rest, padding, first], axis)


def _roll_back_and_crop(x: Tensor, axis: int, size: int, shift: int) -> Tensor:
    """Invert ``_pad_and_roll`` for an axis of ``size`` tokens."""
    length = x.shape[axis]
    if size == length and shift == 0:
        return x
    rest, _, first = torch.split_with_sizes(
        x, [size - shift, length - size, shift], axis
    )
    return torch.cat([first, rest], axis)


def _position_index(window_size: int) -> Tensor:
    """(T * T,) int64: the row of the bias table for each query and key.

    The row is (dy + S - 1) * (2S - 1) + (dx + S - 1), with (dy, dx) from key to query.
    """
    y, x = torch.arange(window_size**2) // window_size, torch.arange(window_size**2) % window_size
    dy, dx = y[:, None] - y[None, :], x[:, None] - x[None, :]
    return ((dy + window_size - 1) * (2 * window_size - 1) + dx + window_size - 1).flatten()
