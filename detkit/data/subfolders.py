"""Sub-folders by the names that tools give them, in any case."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from detkit.data.image_folder import fold
from detkit.data.raw import split_word


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
            try:
                with os.scandir(base) as entries:
                    self._listed[base] = sorted(
                        entry.name for entry in entries if entry.is_dir())
            except OSError:
                self._listed[base] = []
        return self._listed[base]
