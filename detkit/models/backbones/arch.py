"""What every backbone of ours asks of its arch: look it up by name or dict, check what is given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from detkit.errors import ConfigError

Arch = TypeVar("Arch")


def find_arch(
    family: str,
    known: Mapping[str, Arch],
    kind: type[Arch],
    arch: str | Mapping[str, Any],
    **changes: Any,
) -> Arch:
    """Look up or build an arch, with every change that is not None made to it.

    Args:
        family: the backbone's name, for messages.
        known: its arches by name.
        kind: their dataclass; the fields that a mapping leaves out are its defaults.
        arch: one of ``known``, or a mapping of the fields of ``kind``.
        changes: fields of ``kind``.

    Raises:
        ConfigError: no such arch or field, or the fields contradict each other.
    """
    if isinstance(arch, str):
        if arch not in known:
            near = get_close_matches(arch, known, 1)
            raise ConfigError(
                f"{family}: arch",
                got=repr(arch),
                expected=f"one of {', '.join(known)}, or a dict",
                do=f"did you mean '{near[0]}'?" if near else None,
            )
        base = known[arch]
    else:
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        for name in arch:
            if name not in names:
                near = get_close_matches(name, names, 1)
                raise ConfigError(
                    f"{family}: the arch's key '{name}' is not known",
                    expected=f"some of {', '.join(names)}",
                    do=f"did you mean '{near[0]}'?" if near else None,
                )
        base = kind(**arch)
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(base, **given)  # type: ignore[type-var]


def check_levels(family: str, levels: int, out_indices: object) -> tuple[int, ...]:
    """``out_indices`` as a tuple.

    Raises:
        ConfigError: they are not ascending numbers of levels that there are.
    """
    indices = tuple(out_indices) if isinstance(out_indices, Sequence) else ()
    if not indices or list(indices) != sorted(set(indices) & set(range(levels))):
        raise ConfigError(
            f"{family}: out_indices",
            got=out_indices,
            expected=f"ascending stages from 0 to {levels - 1}, at least one",
        )
    return indices


def check_frozen(family: str, stages: int, frozen_stages: object) -> int:
    """``frozen_stages`` as it is.

    Raises:
        ConfigError: it is no number of stages that there are, and not -1 either.
    """
    if frozen_stages not in range(-1, stages + 1):
        raise ConfigError(f"{family}: frozen_stages", got=repr(frozen_stages),
                          expected=f"a whole number from -1 to {stages}")
    return int(frozen_stages)  # type: ignore[call-overload, no-any-return]


def check_some_stages(family: str, name: str, stages: int, given: object) -> tuple[int, ...]:
    """A choice of stages, maybe none, as a tuple.

    Raises:
        ConfigError: one of them does not exist.
    """
    chosen = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else None
    if chosen is None or not set(chosen) <= set(range(stages)):
        raise ConfigError(f"{family}: {name}", got=repr(given),
                          expected=f"some of the stages 0 to {stages - 1}, or ()")
    return chosen


def is_count(value: object) -> bool:
    """Whether it is a whole number above 0."""
    return isinstance(value, int) and value > 0


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def check_drop_path(family: str, rate: object) -> None:
    """Raise ConfigError unless ``rate`` is a probability below 1."""
    if not (is_number(rate) and 0 <= rate < 1):  # type: ignore[operator]
        raise ConfigError(f"{family}: drop_path_rate", got=repr(rate),
                          expected="a number from 0 to below 1")


def check_counts(family: str, name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a list of whole numbers above 0."""
    if not isinstance(value, (list, tuple)) or not value or not all(map(is_count, value)):
        raise ConfigError(f"{family}: {name}", got=repr(value),
                          expected="a list of whole numbers above 0, one for each stage")
