"""Architectures of ConvNeXt V2, as in the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detkit.errors import ConfigError
from detkit.models.backbones.arch_lookup import find_arch
from detkit.models.validation import check_choice, check_counts, check_rate


@dataclass(frozen=True)
class ConvNeXtV2Arch:
    """The architecture of a ConvNeXt V2.

    Args:
        depths: number of blocks of each stage.
        dims: channels of each stage.
        drop_path_rate: of the last block; increases linearly from 0 at the first.
        stem: 'patch' (the paper's) or 'conv' (two overlapping convolutions).
    """

    depths: tuple[int, ...] = (3, 3, 9, 3)
    dims: tuple[int, ...] = (96, 192, 384, 768)
    drop_path_rate: float = 0.2
    stem: str = "patch"

    def __post_init__(self) -> None:
        for name in ("depths", "dims"):
            check_counts("ConvNeXtV2", name, getattr(self, name))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.depths) != len(self.dims):
            raise ConfigError(
                "ConvNeXtV2: depths and dims differ in the number of stages",
                got=f"depths={self.depths}, dims={self.dims}",
                expected="one number for each stage in both",
            )
        check_rate("ConvNeXtV2", "drop_path_rate", self.drop_path_rate)
        check_choice("ConvNeXtV2", "stem", self.stem, ("patch", "conv"))

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each stage: image pixels for one position of the map."""
        return tuple(4 * 2**stage for stage in range(len(self.depths)))


# arXiv 2301.00808, appendix A.1; the drop path rates are not from the paper.
ARCHS: dict[str, ConvNeXtV2Arch] = {
    "atto": ConvNeXtV2Arch((2, 2, 6, 2), (40, 80, 160, 320), 0.1),
    "femto": ConvNeXtV2Arch((2, 2, 6, 2), (48, 96, 192, 384), 0.1),
    "pico": ConvNeXtV2Arch((2, 2, 6, 2), (64, 128, 256, 512), 0.1),
    "nano": ConvNeXtV2Arch((2, 2, 8, 2), (80, 160, 320, 640), 0.1),
    "tiny": ConvNeXtV2Arch((3, 3, 9, 3), (96, 192, 384, 768), 0.2),
    "base": ConvNeXtV2Arch((3, 3, 27, 3), (128, 256, 512, 1024), 0.3),
    "large": ConvNeXtV2Arch((3, 3, 27, 3), (192, 384, 768, 1536), 0.4),
    "huge": ConvNeXtV2Arch((3, 3, 27, 3), (352, 704, 1408, 2816), 0.5),
}


def convnextv2_arch(arch: str | Mapping[str, Any], **overrides: Any) -> ConvNeXtV2Arch:
    """Look up or build an architecture, with the overrides that are not None.

    Args:
        arch: one of ``ARCHS``, or a mapping of ``ConvNeXtV2Arch``'s fields (default: as for tiny).
        overrides: fields of ``ConvNeXtV2Arch``.

    Raises:
        ConfigError: an unknown architecture or field, or invalid or contradicting values.
    """
    return find_arch("ConvNeXtV2", ARCHS, ConvNeXtV2Arch, arch, **overrides)
