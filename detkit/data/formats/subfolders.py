"""Sub-folders by the names that tools give them, in any case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detkit.data.detection.annotations import split_word
from detkit.data.formats.read_file import entries_of, is_folder
from detkit.data.images.image_folder import fold


class Subfolders:
    """Finds folders in folders by name; each is listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, list[str]] = {}

    def named(self, base: Path, names: Sequence[str]) -> list[Path]:
        """The folders in ``base`` called one of ``names`` in any case, in the order of these.

        Empty when there is none, or no folder ``base``.
        """
        wanted = [fold(name) for name in names]
        here = [name for name in self._names(base) if fold(name) in wanted]
        return [base / name for name in sorted(here, key=lambda name: wanted.index(fold(name)))]

    def of_split(self, base: Path, split: str) -> list[Path]:
        """The folders in ``base`` whose names speak of a split, such as 'Training_set'."""
        return [base / name for name in self._names(base) if split_word(name) == split]

    def _names(self, base: Path) -> list[str]:
        if base not in self._listed:
            self._listed[base] = sorted(
                entry.name for entry in entries_of(base) if is_folder(entry))
        return self._listed[base]
