"""Image files that a data set names and that lie outside of its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

OPTION = "data_options.allow_outside"


def check_inside(names: Sequence[str], folder: Path, bounds: Sequence[Path], who: str) -> None:
    """Refuse images outside of a data set's folder: its annotations may name any file here.

    Args:
        names: paths from ``folder`` with '/', or absolute ones, of files that are there.
        folder: where they start.
        bounds: absolute folders; what lies in one of them is inside.
        who: the annotation file, for messages.

    Raises:
        DataError: some lie outside; none of them was opened.
    """
    outside = outside_names(names, folder, bounds)
    if outside:
        raise DataError(f"{who}: {_some(outside, bounds)}", do="move or link them into it, or "
                        "name the folder around both as --data; to use them where they are, add "
                        f"--cfg-options {OPTION}=True")


def note_outside(
    names: Sequence[str], folder: Path, bounds: Sequence[Path], who: str, ledger: Ledger
) -> None:
    """Note images that lie outside of a data set's folder, and those that links lead out to.

    Args:
        names, folder, bounds, who: as ``check_inside``.
    """
    outside = outside_names(names, folder, bounds)
    if outside:
        ledger.notes.append(f"{who}: {_some(outside, bounds)}")
    led_out = _links_out([name for name in names if name not in outside], folder, bounds)
    if led_out:
        name, path = next(iter(led_out.items()))
        ledger.notes.append(f"{who}: links lead out of {bounds[0]} for {len(led_out)} of its "
                            f"images, such as '{name}' ({path})")


def outside_names(
    names: Iterable[str], folder: Path, bounds: Sequence[Path]
) -> dict[str, str]:
    """Those of some names that lead out of all ``bounds``, each with the path that it leads to."""
    starts = tuple(os.path.join(bound, "") for bound in bounds)
    real: dict[str, str] = {}
    outside: dict[str, str] = {}
    for name in names:
        path = _located(folder, name, real)
        # A link on the way to the data set itself may make an absolute name another of its own.
        if not path.startswith(starts) and not os.path.realpath(path).startswith(starts):
            outside[name] = path
    return outside


def _located(folder: Path, name: str, real: dict[str, str]) -> str:
    """The path that a name stands for; a link counts as where it stands, but '..' as the system
    takes it: up from where a link before it leads. ``real`` keeps where those lead."""
    parts = name.split("/")
    if ".." not in parts:
        return os.path.abspath(os.path.join(folder, name))
    last = len(parts) - parts[::-1].index("..")
    climb = os.path.join(folder, "/".join(parts[:last]))
    if climb not in real:
        real[climb] = os.path.realpath(climb)
    return os.path.normpath(os.path.join(real[climb], *parts[last:]))


def _some(outside: Mapping[str, str], bounds: Sequence[Path]) -> str:
    name, path = next(iter(outside.items()))
    return (f"{len(outside)} of its images lie outside of the data folder {bounds[0]}, such as "
            f"'{name}' ({path})")


def _links_out(names: Sequence[str], folder: Path, bounds: Sequence[Path]) -> dict[str, str]:
    """Those of some names that links out of all ``bounds`` lead to, each with where it is."""
    starts = tuple(os.path.join(bound, "") for bound in bounds)
    real: dict[str, str] = {}
    led_out: dict[str, str] = {}
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            to = os.path.realpath(path)
        else:
            parent, last = os.path.split(path)
            if parent not in real:
                real[parent] = os.path.realpath(parent)
            to = os.path.join(real[parent], last)
        if not to.startswith(starts):
            led_out[name] = to
    return led_out
