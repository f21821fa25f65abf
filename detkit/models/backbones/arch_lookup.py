"""Look up the architecture of a backbone by name or dict, and check a backbone's arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from detkit.aliases import current_arch
from detkit.errors import ConfigError
from detkit.models.validation import check_count, is_count
from detkit.text import name_hint

Arch = TypeVar("Arch")


def find_arch(
    owner: str,
    archs: Mapping[str, Arch],
    arch_type: type[Arch],
    arch: str | Mapping[str, Any],
    **overrides: Any,
) -> Arch:
    """Look up or build an architecture, with the overrides that are not None.

    Args:
        owner: the backbone's name, for messages.
        archs: its architectures by name.
        arch_type: their dataclass, with the defaults of fields that a mapping leaves out.
        arch: one of ``archs``, or a mapping of the fields of ``arch_type``.
        overrides: fields of ``arch_type``.

    Raises:
        ConfigError: an unknown architecture or field, or invalid or contradicting values.
    """
    if isinstance(arch, str):
        arch = current_arch(owner, arch)
        if arch not in archs:
            raise ConfigError(
                f"{owner}: arch",
                got=repr(arch),
                expected=f"one of {', '.join(archs)}, or a dict",
                hint=name_hint(arch, archs),
            )
        base = archs[arch]
    elif isinstance(arch, Mapping):
        field_names = [field.name for field in fields(arch_type)]  # type: ignore[arg-type]
        for name in arch:
            if name not in field_names:
                raise ConfigError(
                    f"{owner}: unknown key '{name}' in arch",
                    expected=f"some of {', '.join(field_names)}",
                    hint=name_hint(str(name), field_names),
                )
        base = arch_type(**arch)
    else:
        raise ConfigError(f"{owner}: arch", got=repr(arch),
                          expected=f"one of {', '.join(archs)}, or a dict")
    values = {name: value for name, value in overrides.items() if value is not None}
    return replace(base, **values)  # type: ignore[type-var]


def check_out_indices(owner: str, levels: int, out_indices: object) -> tuple[int, ...]:
    """Return ``out_indices`` as a tuple.

    Raises:
        ConfigError: they are not ascending indices of existing levels.
    """
    indices = _as_indices_below(levels, out_indices)
    if not indices or list(indices) != sorted(set(indices)):
        raise ConfigError(
            f"{owner}: out_indices",
            got=repr(out_indices),
            expected=f"ascending stages from 0 to {levels - 1}, at least one",
        )
    return indices


def check_frozen_stages(owner: str, stages: int, frozen_stages: object) -> int:
    """Return ``frozen_stages``.

    Raises:
        ConfigError: it is not an integer from -1 to the number of stages.
    """
    check_count(owner, "frozen_stages", frozen_stages, -1, stages)
    return int(frozen_stages)  # type: ignore[call-overload, no-any-return]


def check_stage_indices(owner: str, name: str, stages: int, values: object) -> tuple[int, ...]:
    """Return stage indices, possibly none, as a tuple.

    Raises:
        ConfigError: one of the stages does not exist.
    """
    indices = _as_indices_below(stages, values)
    if indices is None:
        raise ConfigError(f"{owner}: {name}", got=repr(values),
                          expected=f"some of the stages 0 to {stages - 1}, or ()")
    return indices


def _as_indices_below(limit: int, values: object) -> tuple[int, ...] | None:
    """``values`` as a tuple if it is a sequence of integers from 0 to ``limit - 1``, else None."""
    if isinstance(values, Sequence) and all(is_count(i, 0, limit - 1) for i in values):
        return tuple(values)
    return None
