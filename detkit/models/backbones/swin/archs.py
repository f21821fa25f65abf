"""Architectures of Swin: the paper's four, and a small one for CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detkit.errors import ConfigError
from detkit.models.backbones.arch_lookup import find_arch
from detkit.models.validation import (
    check_choice,
    check_count,
    check_counts,
    check_rate,
    is_number,
)


@dataclass(frozen=True)
class SwinArch:
    """The architecture of a Swin Transformer.

    Args:
        embed_dims: channels of the first stage; each later one has twice as many.
        depths: number of blocks of each stage.
        num_heads: attention heads of each stage.
        window_size: side of a window, in tokens.
        mlp_ratio: hidden channels of an MLP, relative to its channels.
        drop_path_rate: of the last block; increases linearly from 0 at the first.
        stem: 'patch' (the paper's) or 'conv' (two overlapping convolutions).
        local_conv: whether each block begins with a depthwise 3 x 3 convolution.
    """

    embed_dims: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    mlp_ratio: float = 4.0
    drop_path_rate: float = 0.2
    stem: str = "patch"
    local_conv: bool = False

    def __post_init__(self) -> None:
        self._check_numbers()
        object.__setattr__(self, "depths", tuple(self.depths))
        object.__setattr__(self, "num_heads", tuple(self.num_heads))
        if len(self.depths) != len(self.num_heads) or not self.depths:
            raise ConfigError(
                "Swin: depths and num_heads differ in the number of stages",
                got=f"depths={self.depths}, num_heads={self.num_heads}",
                expected="one number for each stage in both",
            )
        for stage, heads in enumerate(self.num_heads):
            if self.channels[stage] % heads:
                raise ConfigError(
                    f"Swin: the channels of stage {stage} are not divisible by its heads",
                    got=f"{self.channels[stage]} channels, {heads} heads",
                    expected="a multiple of the number of heads",
                )
        check_choice("Swin", "stem", self.stem, ("patch", "conv"))

    def _check_numbers(self) -> None:
        for name in ("depths", "num_heads"):
            check_counts("Swin", name, getattr(self, name))
        for name in ("embed_dims", "window_size"):
            check_count("Swin", name, getattr(self, name))
        if not (is_number(self.mlp_ratio) and int(self.embed_dims * self.mlp_ratio) > 0):
            raise ConfigError("Swin: mlp_ratio", got=repr(self.mlp_ratio),
                              expected="a number that gives the MLP at least one hidden channel")
        check_rate("Swin", "drop_path_rate", self.drop_path_rate)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.embed_dims * 2**stage for stage in range(len(self.depths)))

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each stage: image pixels for one token."""
        return tuple(4 * 2**stage for stage in range(len(self.depths)))


# tiny to large: arXiv 2103.14030, section 3.3. micro: the window size 5 divides 80, 40, 20 and 10,
# the map sizes of a 320 px image, so nothing is padded; 16 to 24 channels in a head; convolutions
# add the locality that attention would have to learn from hundreds of thousands of images.
ARCHS: dict[str, SwinArch] = {
    "micro": SwinArch(
        embed_dims=48,
        depths=(2, 2, 4, 2),
        window_size=5,
        mlp_ratio=3.0,
        drop_path_rate=0.05,
        stem="conv",
        local_conv=True,
    ),
    "tiny": SwinArch(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": SwinArch(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": SwinArch(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "large": SwinArch(192, (2, 2, 18, 2), (6, 12, 24, 48)),
}


def swin_arch(arch: str | Mapping[str, Any], **overrides: Any) -> SwinArch:
    """Look up or build an architecture, with the overrides that are not None.

    Args:
        arch: one of ``ARCHS``, or a mapping of ``SwinArch``'s fields (default: as for tiny).
        overrides: fields of ``SwinArch``.

    Raises:
        ConfigError: an unknown architecture or field, or invalid or contradicting values.
    """
    return find_arch("SwinTransformer", ARCHS, SwinArch, arch, **overrides)
