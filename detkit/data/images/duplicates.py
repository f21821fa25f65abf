"""Find byte-identical image files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path

from detkit.files import compute_sha256

TAIL_BYTES = 4096


def find_identical_files(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of two or more files with the same bytes; members and groups in the given order.

    Only files of the same size are read, and only those with the same last bytes completely.
    """
    groups = [list(paths)]
    keys: tuple[Callable[[Path], Hashable], ...] = (os.path.getsize, _tail, compute_sha256)
    for key in keys:
        groups = [subgroup for group in groups for subgroup in _group_by(group, key)]
    return groups


def find_cross_split_duplicates(
        splits: Mapping[str, Iterable[Path]]) -> list[dict[Path, list[str]]]:
    """Groups of byte-identical files in two or more splits, each file with its splits."""
    splits_by_path: dict[Path, list[str]] = {}
    splits_of_size: dict[int, set[str]] = defaultdict(set)
    for split, paths in splits.items():
        for path in paths:
            splits_by_path.setdefault(path, []).append(split)
            splits_of_size[os.path.getsize(path)].add(split)
    in_two_splits = [[path] for path, names in splits_by_path.items() if len(names) > 1]
    candidates = [path for path in splits_by_path if len(splits_of_size[os.path.getsize(path)]) > 1]
    groups = in_two_splits + find_identical_files(candidates)
    shared = [{path: splits_by_path[path] for path in group} for group in groups]
    return [group for group in shared if len(set().union(*group.values())) > 1]


def _group_by(paths: Sequence[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    by_key: dict[Hashable, list[Path]] = defaultdict(list)
    for path in paths:
        by_key[key(path)].append(path)
    return [subgroup for subgroup in by_key.values() if len(subgroup) > 1]


def _tail(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - TAIL_BYTES))
        return file.read()
