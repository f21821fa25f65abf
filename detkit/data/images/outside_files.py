"""Image files that a data set names and that lie outside of its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

ALLOW_OUTSIDE_OPTION = "data_options.allow_outside"


def ensure_inside(names: Sequence[str], folder: Path, allowed_dirs: Sequence[Path],
                  source: str) -> None:
    """Refuse images outside of a data set's folder: its annotations may name any file here.

    Args:
        names: paths from ``folder`` with '/', or absolute ones, of files that are there.
        folder: where they start.
        allowed_dirs: absolute folders; what lies in one of them is inside.
        source: the annotation file, for messages.

    Raises:
        DataError: some lie outside; none of them was opened.
    """
    outside = find_outside_names(names, folder, allowed_dirs)
    if outside:
        raise DataError(
            f"{source}: {_outside_message(outside, allowed_dirs)}",
            hint="move or link them into it, or "
            "name the folder around both as --data; to use them where they are, add "
            f"--cfg-options {ALLOW_OUTSIDE_OPTION}=True")


def note_outside_images(
    names: Sequence[str], folder: Path, allowed_dirs: Sequence[Path], source: str, ledger: Ledger
) -> None:
    """Note images that lie outside of a data set's folder, and those that links lead out to.

    Args:
        names, folder, allowed_dirs, source: as ``ensure_inside``.
    """
    outside = find_outside_names(names, folder, allowed_dirs)
    if outside:
        ledger.notes.append(f"{source}: {_outside_message(outside, allowed_dirs)}")
    linked_outside = _links_outside([name for name in names if name not in outside], folder,
                                    allowed_dirs)
    if linked_outside:
        name, path = next(iter(linked_outside.items()))
        ledger.notes.append(
            f"{source}: links lead out of {allowed_dirs[0]} for {len(linked_outside)} of its "
            f"images, such as '{name}' ({path})")


def find_outside_names(
    names: Iterable[str], folder: Path, allowed_dirs: Sequence[Path]
) -> dict[str, str]:
    """Those of some names that lead out of all ``allowed_dirs``, each with the path that it leads to."""
    prefixes = tuple(os.path.join(allowed_dir, "") for allowed_dir in allowed_dirs)
    real_paths: dict[str, str] = {}
    outside: dict[str, str] = {}
    for name in names:
        path = _resolve_path(folder, name, real_paths)
        # A link on the way to the data set itself may make an absolute name another of its own.
        if not path.startswith(prefixes) and not os.path.realpath(path).startswith(prefixes):
            outside[name] = path
    return outside


def _resolve_path(folder: Path, name: str, real_paths: dict[str, str]) -> str:
    """The path that a name stands for; a link counts as where it stands, but '..' as the system
    takes it: up from where a link before it leads. ``real_paths`` keeps where those lead."""
    components = name.split("/")
    if ".." not in components:
        return os.path.abspath(os.path.join(folder, name))
    last = len(components) - components[::-1].index("..")
    parent_path = os.path.join(folder, "/".join(components[:last]))
    if parent_path not in real_paths:
        real_paths[parent_path] = os.path.realpath(parent_path)
    return os.path.normpath(os.path.join(real_paths[parent_path], *components[last:]))


def _outside_message(outside: Mapping[str, str], allowed_dirs: Sequence[Path]) -> str:
    name, path = next(iter(outside.items()))
    return (
        f"{len(outside)} of its images lie outside of the data folder {allowed_dirs[0]}, such as "
        f"'{name}' ({path})")


def _links_outside(names: Sequence[str], folder: Path,
                   allowed_dirs: Sequence[Path]) -> dict[str, str]:
    """Those of some names that links out of all ``allowed_dirs`` lead to, each with where it is."""
    prefixes = tuple(os.path.join(allowed_dir, "") for allowed_dir in allowed_dirs)
    real_paths: dict[str, str] = {}
    linked_outside: dict[str, str] = {}
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            target = os.path.realpath(path)
        else:
            parent, last = os.path.split(path)
            if parent not in real_paths:
                real_paths[parent] = os.path.realpath(parent)
            target = os.path.join(real_paths[parent], last)
        if not target.startswith(prefixes):
            linked_outside[name] = target
    return linked_outside
