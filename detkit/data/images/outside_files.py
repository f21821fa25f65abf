"""Image files outside of the data folder that annotations refer to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

ALLOW_OUTSIDE_OPTION = "data_options.allow_outside"


def ensure_inside(names: Sequence[str], folder: Path, allowed_dirs: Sequence[Path],
                  source: str) -> None:
    """Check that all images are inside of the data folder: annotations could name any file.

    Args:
        names: paths of existing files, relative to ``folder`` with '/', or absolute.
        folder: the folder that they are relative to.
        allowed_dirs: absolute folders; files in one of them are inside.
        source: the annotation file, for messages.

    Raises:
        DataError: an image is outside; none of them was opened.
    """
    outside = find_outside_names(names, folder, allowed_dirs)
    if outside:
        raise DataError(
            f"{source}: {_outside_message(outside, allowed_dirs)}",
            hint="move or link them into it, or use a parent folder of both as --data; to use "
            f"them where they are, add --cfg-options {ALLOW_OUTSIDE_OPTION}=True")


def note_outside_images(
    names: Sequence[str], folder: Path, allowed_dirs: Sequence[Path], source: str, ledger: Ledger
) -> None:
    """Note images outside of the data folder, and links to images outside of it.

    Args:
        names, folder, allowed_dirs, source: as in ``ensure_inside``.
        ledger: receives the notes.
    """
    outside = find_outside_names(names, folder, allowed_dirs)
    if outside:
        ledger.notes.append(f"{source}: {_outside_message(outside, allowed_dirs)}")
    linked_outside = _links_outside([name for name in names if name not in outside], folder,
                                    allowed_dirs)
    if linked_outside:
        name, path = next(iter(linked_outside.items()))
        ledger.notes.append(
            f"{source}: {len(linked_outside)} of its images are links to files outside of "
            f"{allowed_dirs[0]}, such as '{name}' ({path})")


def find_outside_names(
    names: Iterable[str], folder: Path, allowed_dirs: Sequence[Path]
) -> dict[str, str]:
    """The names whose path is outside of all ``allowed_dirs``, each with that path."""
    prefixes = tuple(os.path.join(allowed_dir, "") for allowed_dir in allowed_dirs)
    real_paths: dict[str, str] = {}
    outside: dict[str, str] = {}
    for name in names:
        path = _resolve_path(folder, name, real_paths)
        # If the data folder itself is reached by a link, absolute names may use the link.
        if not path.startswith(prefixes) and not os.path.realpath(path).startswith(prefixes):
            outside[name] = path
    return outside


def _resolve_path(folder: Path, name: str, real_paths: dict[str, str]) -> str:
    """The absolute path of a name, with links as they are, except before '..', where the system
    resolves them. ``real_paths`` is a cache."""
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
        f"{len(outside)} of its images are outside of the data folder {allowed_dirs[0]}, such as "
        f"'{name}' ({path})")


def _links_outside(names: Sequence[str], folder: Path,
                   allowed_dirs: Sequence[Path]) -> dict[str, str]:
    """The names that links resolve to files outside of all ``allowed_dirs``, with their targets."""
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
