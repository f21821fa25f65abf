"""Numbers of a config that contradict what the model gives, and one message for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detkit.errors import ConfigError


@dataclass(frozen=True)
class Clash:
    """A number that the config gives and that cannot be.

    Args:
        path: of the number, such as ``model.roi_head.bbox_head[0].in_channels``.
        given: by the config.
        wanted: instead.
    """

    path: str
    given: Any
    wanted: Any


def refuse(clashes: Sequence[Clash], reader: str, source: str) -> None:
    """Raise for the first of ``clashes``, with the options that mend all; nothing if none.

    Args:
        clashes: what contradicts.
        reader, source: the parts that contradict each other, such as 'head' and 'neck'.

    Raises:
        ConfigError: there is one.
    """
    if not clashes:
        return
    first = clashes[0]
    options = " ".join(f"{as_option(c.path)}={_as_value(c.wanted)}" for c in clashes)
    name = first.path.rpartition(".")[2]
    raise ConfigError(
        f"{first.path}: the {reader} and the {source} contradict each other",
        got=f"{first.given} in the config",
        expected=f"{first.wanted} as model.{source} gives",
        do=f"leave {name} out to have the {source}'s, or pass --cfg-options {options}",
    )


def as_option(path: str) -> str:
    """A path as --cfg-options spells it: a[0].b is a.0.b."""
    return path.replace("[", ".").replace("]", "")


def _as_value(wanted: Any) -> str:
    if not isinstance(wanted, list):
        return str(wanted)
    # A trailing comma is what tells one number from a list of one.
    return ",".join(str(number) for number in wanted) + ("," if len(wanted) == 1 else "")
