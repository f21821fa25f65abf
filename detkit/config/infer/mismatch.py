"""Config values that do not match the model, reported in one message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detkit.errors import ConfigError


@dataclass(frozen=True)
class Mismatch:
    """A config value that does not match the model.

    Args:
        path: of the value, such as ``model.roi_head.bbox_head[0].in_channels``.
        actual: the config's value.
        expected: the value that matches.
    """

    path: str
    actual: Any
    expected: Any


def raise_mismatches(mismatches: Sequence[Mismatch], reader: str, source: str) -> None:
    """Raise for the first of ``mismatches``, with the options that correct all of them.

    Args:
        mismatches: none is no error.
        reader: the component that has the value, such as 'head'.
        source: the component that it reads, such as 'neck'.

    Raises:
        ConfigError: there is a mismatch.
    """
    if not mismatches:
        return
    first = mismatches[0]
    options = " ".join(
        f"{to_option_key(mismatch.path)}={format_option_value(mismatch.expected)}"
        for mismatch in mismatches)
    name = first.path.rpartition(".")[2]
    raise ConfigError(
        f"{first.path}: the {reader} does not match the {source}",
        got=f"{first.actual} in the config",
        expected=f"{first.expected} from model.{source}",
        hint=f"omit {name} to infer it from the {source}, or pass --cfg-options {options}",
    )


def to_option_key(path: str) -> str:
    """Convert a path to the form of --cfg-options: a[0].b becomes a.0.b."""
    return path.replace("[", ".").replace("]", "")


def format_option_value(expected: Any) -> str:
    """Write a value as --cfg-options reads it."""
    if not isinstance(expected, list):
        return str(expected)
    # A trailing comma marks a list of one number.
    return ",".join(str(number) for number in expected) + ("," if len(expected) == 1 else "")
