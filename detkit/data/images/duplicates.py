"""Image files with the same bytes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path

from detkit.files import sha256_of

TAIL_BYTES = 4096


def identical_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of two or more files with the same bytes, members and groups in the order given.

    Only files of the same size are read, and only those whose last bytes agree are read whole.
    """
    groups = [list(paths)]
    keys: tuple[Callable[[Path], Hashable], ...] = (os.path.getsize, _tail, sha256_of)
    for key in keys:
        groups = [part for group in groups for part in _partition(group, key)]
    return groups


def shared_between(splits: Mapping[str, Iterable[Path]]) -> list[dict[Path, list[str]]]:
    """Files with the same bytes that stand in two splits or more, each with its splits."""
    standing: dict[Path, list[str]] = {}
    splits_of_size: dict[int, set[str]] = defaultdict(set)
    for split, paths in splits.items():
        for path in paths:
            standing.setdefault(path, []).append(split)
            splits_of_size[os.path.getsize(path)].add(split)
    twice = [[path] for path, names in standing.items() if len(names) > 1]
    suspects = [path for path in standing if len(splits_of_size[os.path.getsize(path)]) > 1]
    groups = twice + identical_files(suspects)
    found = [{path: standing[path] for path in group} for group in groups]
    return [group for group in found if len(set().union(*group.values())) > 1]


def _partition(paths: Sequence[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    parts: dict[Hashable, list[Path]] = defaultdict(list)
    for path in paths:
        parts[key(path)].append(path)
    return [part for part in parts.values() if len(part) > 1]


def _tail(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - TAIL_BYTES))
        return file.read()
