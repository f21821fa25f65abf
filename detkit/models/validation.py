"""Checks of the numbers and names that a config gives a model, with one message for each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from detkit.errors import ConfigError


def is_count(value: object, minimum: int = 1, maximum: int | None = None) -> bool:
    """Whether ``value`` is an integer, not a bool, from ``minimum`` to ``maximum``."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= minimum and (maximum is None or value <= maximum)


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def check_count(
    owner: str, name: str, value: object, minimum: int = 1, maximum: int | None = None
) -> None:
    """Raise ConfigError unless ``value`` is an integer from ``minimum`` to ``maximum``."""
    if not is_count(value, minimum, maximum):
        upper = "" if maximum is None else f" to {maximum}"
        raise ConfigError(f"{owner}: {name}", got=repr(value),
                          expected=f"a whole number from {minimum}{upper}")


def check_counts(owner: str, name: str, value: object, each: str = "stage") -> None:
    """Raise ConfigError unless ``value`` is a list of integers above 0, one for ``each``."""
    if not isinstance(value, (list, tuple)) or not value or not all(map(is_count, value)):
        raise ConfigError(f"{owner}: {name}", got=repr(value),
                          expected=f"a list of whole numbers above 0, one for each {each}")


def check_number(
    owner: str, name: str, value: object, minimum: float = -math.inf, maximum: float = math.inf
) -> None:
    """Raise ConfigError unless ``value`` is a number from ``minimum`` to ``maximum``."""
    if not (is_number(value) and minimum <= value <= maximum):  # type: ignore[operator]
        lower = "" if minimum == -math.inf else f" from {minimum:g}"
        upper = "" if maximum == math.inf else f" to {maximum:g}"
        raise ConfigError(f"{owner}: {name}", got=repr(value), expected=f"a number{lower}{upper}")


def check_positive(owner: str, name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a number above 0."""
    if not (is_number(value) and value > 0):  # type: ignore[operator]
        raise ConfigError(f"{owner}: {name}", got=repr(value), expected="a number above 0")


def check_rate(owner: str, name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a number in [0, 1), such as a dropout rate."""
    if not (is_number(value) and 0 <= value < 1):  # type: ignore[operator]
        raise ConfigError(f"{owner}: {name}", got=repr(value),
                          expected="a number from 0 to below 1")


def check_choice(owner: str, name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ConfigError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise ConfigError(f"{owner}: {name}", got=repr(value),
                          expected=" or ".join(map(repr, choices)))
