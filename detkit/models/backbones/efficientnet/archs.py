"""Architectures of EfficientNet: B0 to B7, Lite0 to Lite4, V2, and a small one for CPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from detkit.errors import ConfigError
from detkit.models.backbones.arch_lookup import find_arch
from detkit.models.backbones.efficientnet.scaling import (
    COMPOUND_SCALES,
    LITE_SCALES,
    Scale,
    scale_channels,
    scale_repeats,
)
from detkit.models.validation import (
    check_choice,
    check_count,
    check_positive,
    check_rate,
    is_count,
    is_number,
)


class BlockGroup(NamedTuple):
    """Consecutive blocks of one kind; a row of the tables in the papers.

    Args:
        kind: 'mbconv' (expand, depthwise, squeeze and excite, project) or 'fused' (one dense
            convolution in place of expand and depthwise).
        kernel: kernel size of the depthwise or fused convolution, odd.
        stride: of the first block, 1 or 2; the others have 1.
        expansion: inner channels relative to the input channels; 1 for no expansion.
        channels: of the output, before scaling.
        repeats: number of blocks, before scaling.
        squeeze: channels of squeeze and excitation relative to the block's input channels; 0
            for none; 'fused' has none.
    """

    kind: str
    kernel: int
    stride: int
    expansion: float
    channels: int
    repeats: int
    squeeze: float = 0.25


# arXiv 1905.11946, table 1.
_B0 = (
    BlockGroup("mbconv", 3, 1, 1, 16, 1),
    BlockGroup("mbconv", 3, 2, 6, 24, 2),
    BlockGroup("mbconv", 5, 2, 6, 40, 2),
    BlockGroup("mbconv", 3, 2, 6, 80, 3),
    BlockGroup("mbconv", 5, 1, 6, 112, 3),
    BlockGroup("mbconv", 5, 2, 6, 192, 4),
    BlockGroup("mbconv", 3, 1, 6, 320, 1),
)


@dataclass(frozen=True)
class EfficientNetArch:
    """The architecture of an EfficientNet; the defaults are B0.

    Args:
        groups: rows of ``BlockGroup``'s fields; the input of the first has stride 2. A new stage
            begins at each group with stride 2 but the first.
        width, depth: factors on all channels, and on the repeats of groups.
        stem_channels, head_channels: before scaling.
        fix_first_last: do not scale the channels of the stem and the head, and the repeats of the
            first and the last group; Lite.
        activation: 'silu' or 'relu6'.
        norm_eps: of the weights published with symmetric padding.
        drop_path_rate: increases linearly from 0 at the first block to this after the last.
        resolution: side of the training images of the published weights, in pixels.
    """

    groups: tuple[BlockGroup, ...] = _B0
    width: float = 1.0
    depth: float = 1.0
    stem_channels: int = 32
    head_channels: int = 1280
    fix_first_last: bool = False
    activation: str = "silu"
    norm_eps: float = 1e-5
    drop_path_rate: float = 0.2
    resolution: int = 224

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", _validate_groups(self.groups))
        for name in ("width", "depth", "norm_eps"):
            check_positive("EfficientNet", name, getattr(self, name))
        for name in ("stem_channels", "head_channels", "resolution"):
            check_count("EfficientNet", name, getattr(self, name))
        check_choice("EfficientNet", "activation", self.activation, ("silu", "relu6"))
        check_rate("EfficientNet", "drop_path_rate", self.drop_path_rate)

    @property
    def scaled(self) -> tuple[BlockGroup, ...]:
        """The groups with scaled channels and repeats."""
        fixed = (0, len(self.groups) - 1) if self.fix_first_last else ()
        return tuple(
            group._replace(channels=scale_channels(group.channels, self.width),
                           repeats=group.repeats if index in fixed
                           else scale_repeats(group.repeats, self.depth))
            for index, group in enumerate(self.groups)
        )

    @property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the groups in each stage; those before the first stride 2 are in stage 0."""
        stage_ends = [index for index, group in enumerate(self.groups) if group.stride == 2][1:]
        stage_starts, stage_ends = [0, *stage_ends], [*stage_ends, len(self.groups)]
        return tuple(tuple(range(start, end)) for start, end in zip(stage_starts, stage_ends))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage's output."""
        scaled = self.scaled
        return tuple(scaled[groups[-1]].channels for groups in self.stages)

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each stage's output."""
        return tuple(4 * 2**stage for stage in range(len(self.stages)))

    @property
    def stem_head_channels(self) -> tuple[int, int]:
        """Scaled channels of the stem and of the head's convolution."""
        if self.fix_first_last:
            return self.stem_channels, self.head_channels
        return (scale_channels(self.stem_channels, self.width),
                scale_channels(self.head_channels, self.width))


def _validate_groups(groups: object) -> tuple[BlockGroup, ...]:
    rows = groups if isinstance(groups, Sequence) and not isinstance(groups, str) else ()
    validated = tuple(_validate_group(index, row) for index, row in enumerate(rows))
    if not any(group.stride == 2 for group in validated):
        raise ConfigError("EfficientNet: groups", got=repr(groups),
                          expected="rows of BlockGroup's fields, at least one with stride 2")
    return validated


def _validate_group(index: int, row: Any) -> BlockGroup:
    try:
        group = BlockGroup(**row) if isinstance(row, Mapping) else BlockGroup(*row)
    except TypeError:
        raise ConfigError(f"EfficientNet: groups[{index}]", got=repr(row),
                          expected=f"some of {', '.join(BlockGroup._fields)}") from None
    checks = {
        "kind": group.kind in ("mbconv", "fused"),
        "kernel": is_count(group.kernel) and group.kernel % 2 == 1,
        "stride": group.stride in (1, 2),
        "expansion": is_number(group.expansion) and group.expansion >= 1,
        "channels": is_count(group.channels),
        "repeats": is_count(group.repeats),
        "squeeze": is_number(group.squeeze) and 0 <= group.squeeze <= 1
        and (group.kind == "mbconv" or group.squeeze == 0),
    }
    for name, valid in checks.items():
        if not valid:
            raise ConfigError(
                f"EfficientNet: groups[{index}].{name}",
                got=repr(getattr(group, name)),
                expected="kind 'mbconv' or 'fused', an odd kernel, a stride of 1 or 2, an "
                "expansion from 1, integer channels and repeats, a squeeze from 0 to 1 (fused: 0)",
            )
    return group


def _compound_arch(name: str, scale: Scale) -> EfficientNetArch:
    # torchvision's B5 to B7 have the eps of the official release, but not its padding.
    eps = 1e-3 if name in ("b5", "b6", "b7") else 1e-5
    return EfficientNetArch(width=scale.width, depth=scale.depth, norm_eps=eps,
                            resolution=scale.resolution)


def _lite_arch(scale: Scale) -> EfficientNetArch:
    return EfficientNetArch(groups=tuple(group._replace(squeeze=0) for group in _B0),
                            width=scale.width, depth=scale.depth, fix_first_last=True,
                            activation="relu6", resolution=scale.resolution)


def _v2_arch(*rows: tuple[float, ...], resolution: int) -> EfficientNetArch:
    """Rows of (expansion, channels, repeats): three fused, then MBConv with squeeze."""
    strides = (1, 2, 2, 2, 1, 2, 1)
    groups = tuple(
        BlockGroup("mbconv" if index > 2 else "fused", 3, strides[index], expansion,
                   int(channels), int(repeats), 0.25 if index > 2 else 0)
        for index, (expansion, channels, repeats) in enumerate(rows)
    )
    return EfficientNetArch(groups=groups, stem_channels=groups[0].channels, norm_eps=1e-3,
                            resolution=resolution)


# For training from scratch at 320 px on a CPU, with lower cost than Lite0. Dense 3 x 3 convolutions
# at strides 2 to 8 instead of depthwise ones, which have low arithmetic intensity
# (arXiv 2104.00298), and no expansion by 6 at stride 2. After that Lite0's widths with expansion 4,
# and less at stride 32, which a detector uses for its largest boxes only. SiLU and squeeze and
# excitation cost little on maps this small; Lite0 omits them for integer arithmetic.
_MICRO = EfficientNetArch(
    groups=(
        BlockGroup("fused", 3, 1, 1, 16, 1, 0),
        BlockGroup("fused", 3, 2, 3, 24, 2, 0),
        BlockGroup("fused", 3, 2, 4, 40, 2, 0),
        BlockGroup("mbconv", 3, 2, 4, 80, 3),
        BlockGroup("mbconv", 5, 1, 4, 112, 3),
        BlockGroup("mbconv", 5, 2, 4, 192, 3),
    ),
    stem_channels=16,
    head_channels=640,
    drop_path_rate=0.05,
    resolution=320,
)

# V2: arXiv 2104.00298, table 4, and the release for M and L; resolutions are those of testing.
ARCHS: dict[str, EfficientNetArch] = {
    **{name: _compound_arch(name, scale) for name, scale in COMPOUND_SCALES.items()},
    **{name: _lite_arch(scale) for name, scale in LITE_SCALES.items()},
    "v2_s": _v2_arch((1, 24, 2), (4, 48, 4), (4, 64, 4), (4, 128, 6), (6, 160, 9), (6, 256, 15),
                     resolution=384),
    "v2_m": _v2_arch((1, 24, 3), (4, 48, 5), (4, 80, 5), (4, 160, 7), (6, 176, 14), (6, 304, 18),
                     (6, 512, 5), resolution=480),
    "v2_l": _v2_arch((1, 32, 4), (4, 64, 7), (4, 96, 7), (4, 192, 10), (6, 224, 19), (6, 384, 25),
                     (6, 640, 7), resolution=480),
    "micro": _MICRO,
}


def efficientnet_arch(arch: str | Mapping[str, Any], **overrides: Any) -> EfficientNetArch:
    """Look up or build an architecture, with the overrides that are not None.

    Args:
        arch: one of ``ARCHS`` ('v2-s' is 'v2_s'), or a mapping of ``EfficientNetArch``'s fields
            (default: as for b0).
        overrides: fields of ``EfficientNetArch``.

    Raises:
        ConfigError: an unknown architecture or field, or an invalid value.
    """
    if isinstance(arch, str):
        arch = arch.replace("-", "_")
    return find_arch("EfficientNet", ARCHS, EfficientNetArch, arch, **overrides)
