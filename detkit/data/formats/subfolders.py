"""Find subfolders by the names that annotation tools give them, ignoring case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detkit.data.detection.annotations import split_from_name
from detkit.data.formats.read_file import is_dir_entry, scan_entries
from detkit.data.images.image_folder import casefold_name


class Subfolders:
    """Finds subfolders by name; each folder is listed once and cached."""

    def __init__(self) -> None:
        self._cache: dict[Path, list[str]] = {}

    def find(self, base: Path, names: Sequence[str]) -> list[Path]:
        """The subfolders of ``base`` with one of ``names``, ignoring case, in the order of
        ``names``; empty when there are none, or ``base`` is not a folder."""
        folded_names = [casefold_name(name) for name in names]
        matches = [name for name in self._names(base) if casefold_name(name) in folded_names]
        return [
            base / name
            for name in sorted(matches, key=lambda name: folded_names.index(casefold_name(name)))
        ]

    def find_for_split(self, base: Path, split: str) -> list[Path]:
        """The subfolders of ``base`` whose names contain a split's, such as 'Training_set'."""
        return [base / name for name in self._names(base) if split_from_name(name) == split]

    def _names(self, base: Path) -> list[str]:
        if base not in self._cache:
            self._cache[base] = sorted(
                entry.name for entry in scan_entries(base) if is_dir_entry(entry))
        return self._cache[base]
