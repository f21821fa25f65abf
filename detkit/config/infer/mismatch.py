"""Numbers of a config that contradict what the model gives, and one message for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detkit.errors import ConfigError


@dataclass(frozen=True)
class Mismatch:
    """A number that the config gives and that cannot be.

    Args:
        path: of the number, such as ``model.roi_head.bbox_head[0].in_channels``.
        actual: by the config.
        expected: instead.
    """

    path: str
    actual: Any
    expected: Any


def raise_mismatches(mismatches: Sequence[Mismatch], reader: str, source: str) -> None:
    """Raise for the first of ``mismatches``, with the options that mend all; nothing if none.

    Args:
        mismatches: what contradicts.
        reader, source: the parts that contradict each other, such as 'head' and 'neck'.

    Raises:
        ConfigError: there is one.
    """
    if not mismatches:
        return
    first = mismatches[0]
    options = " ".join(
        f"{to_option_key(c.path)}={_format_option_value(c.expected)}" for c in mismatches)
    name = first.path.rpartition(".")[2]
    raise ConfigError(
        f"{first.path}: the {reader} and the {source} contradict each other",
        got=f"{first.actual} in the config",
        expected=f"{first.expected} as model.{source} gives",
        hint=f"leave {name} out to have the {source}'s, or pass --cfg-options {options}",
    )


def to_option_key(path: str) -> str:
    """A path as --cfg-options spells it: a[0].b is a.0.b."""
    return path.replace("[", ".").replace("]", "")


def _format_option_value(expected: Any) -> str:
    if not isinstance(expected, list):
        return str(expected)
    # A trailing comma is what tells one number from a list of one.
    return ",".join(str(number) for number in expected) + ("," if len(expected) == 1 else "")
