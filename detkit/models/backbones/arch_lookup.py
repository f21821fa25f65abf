"""What every backbone of ours asks of its arch: look it up by name or dict, check what is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from detkit.errors import ConfigError
from detkit.models.validation import is_number

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
    elif isinstance(arch, Mapping):
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        for name in arch:
            if name not in names:
                near = get_close_matches(str(name), names, 1)
                raise ConfigError(
                    f"{family}: the arch's key '{name}' is not known",
                    expected=f"some of {', '.join(names)}",
                    do=f"did you mean '{near[0]}'?" if near else None,
                )
        base = kind(**arch)
    else:
        raise ConfigError(f"{family}: arch", got=repr(arch),
                          expected=f"one of {', '.join(known)}, or a dict")
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(base, **given)  # type: ignore[type-var]


def check_levels(family: str, levels: int, out_indices: object) -> tuple[int, ...]:
    """``out_indices`` as a tuple.

    Raises:
        ConfigError: they are not ascending numbers of levels that there are.
    """
    indices = _numbers_below(levels, out_indices)
    if not indices or list(indices) != sorted(set(indices)):
        raise ConfigError(
            f"{family}: out_indices",
            got=repr(out_indices),
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
    chosen = _numbers_below(stages, given)
    if chosen is None:
        raise ConfigError(f"{family}: {name}", got=repr(given),
                          expected=f"some of the stages 0 to {stages - 1}, or ()")
    return chosen


def check_drop_path(family: str, rate: object) -> None:
    """Raise ConfigError unless ``rate`` is a probability below 1."""
    if not (is_number(rate) and 0 <= rate < 1):  # type: ignore[operator]
        raise ConfigError(f"{family}: drop_path_rate", got=repr(rate),
                          expected="a number from 0 to below 1")


def _numbers_below(limit: int, given: object) -> tuple[int, ...] | None:
    """``given`` as a tuple, if it is a sequence of whole numbers from 0 to below ``limit``."""
    # Compared, not looked up: what stands in a config need not be hashable.
    if isinstance(given, Sequence) and all(
        isinstance(number, int) and 0 <= number < limit for number in given
    ):
        return tuple(given)
    return None
