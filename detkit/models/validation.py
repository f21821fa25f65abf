"""The numbers that a config gives a model: told from what is none, and refused by name."""

from __future__ import annotations

import math

from detkit.errors import ConfigError


def is_count(value: object, minimum: int = 1, maximum: int | None = None) -> bool:
    """Whether it is a whole number from ``minimum`` to ``maximum``, if there is one."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= minimum and (maximum is None or value <= maximum)


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def check_count(
    owner: str, name: str, value: object, minimum: int = 1, maximum: int | None = None
) -> None:
    """Raise ConfigError unless ``value`` is a whole number from ``minimum`` to ``maximum``."""
    if not is_count(value, minimum, maximum):
        upper = "" if maximum is None else f" to {maximum}"
        raise ConfigError(f"{owner}: {name}", got=repr(value),
                          expected=f"a whole number from {minimum}{upper}")


def check_counts(owner: str, name: str, value: object, each: str = "stage") -> None:
    """Raise ConfigError unless ``value`` is a list of whole numbers above 0, one for ``each``."""
    if not isinstance(value, (list, tuple)) or not value or not all(map(is_count, value)):
        raise ConfigError(f"{owner}: {name}", got=repr(value),
                          expected=f"a list of whole numbers above 0, one for each {each}")
