"""Sub-folders by the names that tools give them, in any case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detkit.data.detection.annotations import split_from_name
from detkit.data.formats.read_file import is_dir_entry, scan_entries
from detkit.data.images.image_folder import casefold_name


class Subfolders:
    """Finds folders in folders by name; each is listed once."""

    def __init__(self) -> None:
        self._cache: dict[Path, list[str]] = {}

    def find(self, base: Path, names: Sequence[str]) -> list[Path]:
        """The folders in ``base`` called one of ``names`` in any case, in the order of these.

        Empty when there is none, or no folder ``base``.
        """
        wanted_names = [casefold_name(name) for name in names]
        matches = [name for name in self._names(base) if casefold_name(name) in wanted_names]
        return [
            base / name
            for name in sorted(matches, key=lambda name: wanted_names.index(casefold_name(name)))
        ]

    def find_for_split(self, base: Path, split: str) -> list[Path]:
        """The folders in ``base`` whose names speak of a split, such as 'Training_set'."""
        return [base / name for name in self._names(base) if split_from_name(name) == split]

    def _names(self, base: Path) -> list[str]:
        if base not in self._cache:
            self._cache[base] = sorted(
                entry.name for entry in scan_entries(base) if is_dir_entry(entry))
        return self._cache[base]
