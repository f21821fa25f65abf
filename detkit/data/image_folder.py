"""Image files under the names that annotations call them by."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from detkit.errors import DataError

SAMPLED = 50

Rewriting = Callable[[str], str]


def _as_is(name: str) -> str:
    return name


def _from_windows(name: str) -> str:
    return name.replace("\\", "/")


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


REWRITINGS: tuple[Rewriting, ...] = (_as_is, _from_windows, _last_part)


def fold(name: str) -> str:
    """A name without what file systems differ in: case and the composition of accents."""
    return unicodedata.normalize("NFC", name).casefold()


class ImageFolder:
    """Finds image files below one folder.

    Args:
        folder: where names start.
        rewriting: how a name in the annotations becomes a path below ``folder``.

    Attributes:
        found: the paths below the folder that were found so far.
    """

    def __init__(self, folder: Path, rewriting: Rewriting = _as_is) -> None:
        self.folder = folder
        self.rewriting = rewriting
        self.found: set[str] = set()
        self._folded: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str) -> str | None:
        """Path below the folder, with '/', of the file called ``name``; None when there is none.

        A name that differs only in case or in the composition of accents is found, unless two
        files answer to it.
        """
        relative = self.rewriting(name)
        # isfile is false, where Path.is_file raises, for names too long for a file system.
        if os.path.isfile(os.path.join(self.folder, relative)):
            self.found.add(relative)
            return relative
        parent, _, last = relative.rpartition("/")
        alike = self._listing(parent).get(fold(last), [])
        if len(alike) != 1:
            return None
        relative = "/".join(filter(None, (parent, alike[0])))
        self.found.add(relative)
        return relative

    def _listing(self, parent: str) -> dict[str, list[str]]:
        if parent not in self._folded:
            listing: dict[str, list[str]] = {}
            try:
                names = os.listdir(os.path.join(self.folder, parent))
            except (OSError, ValueError):
                names = []
            for name in names:
                listing.setdefault(fold(name), []).append(name)
            self._folded[parent] = listing
        return self._folded[parent]


def choose_folder(names: Sequence[str], tiers: Sequence[Sequence[Path]], who: str) -> ImageFolder:
    """The folder that holds the named images.

    Args:
        names: file names as the annotations give them; at least one.
        tiers: candidates, the likelier tiers first; within a tier none is likelier.
        who: the annotation file, for messages.

    Raises:
        DataError: no candidate holds any of the images, or two of a tier hold equally many.
    """
    step = max(1, len(names) // SAMPLED)
    sample = names[::step]
    tried: list[Path] = []
    for rewriting in REWRITINGS:
        if rewriting is _last_part and len({_last_part(name) for name in names}) < len(set(names)):
            continue  # cutting the folders off would make one name of two images
        most, winners = 0, []
        for tier in tiers:
            folders = _distinct(tier)
            tried += folders
            for_tier = most
            for folder in folders:
                candidate = ImageFolder(folder, rewriting)
                held = sum(candidate.find(name) is not None for name in sample)
                if held > most:
                    most, winners = held, [folder]
                elif held == most > for_tier:
                    winners.append(folder)
        if len(winners) > 1:
            raise DataError(
                f"{who}: its images are in two folders, {winners[0]} and {winners[1]}",
                do="keep one of the two in the data folder",
            )
        if winners:
            return ImageFolder(winners[0], rewriting)
    looked = ", ".join(str(folder) for folder in dict.fromkeys(tried)) or "no folder at all"
    raise DataError(f"{who}: none of its {len(names)} images is there, such as '{names[0]}'",
                    do=f"put the images beside it; looked in {looked}")


def _distinct(folders: Sequence[Path]) -> list[Path]:
    by_real: dict[Path, Path] = {}
    for folder in folders:
        if folder.is_dir():
            by_real.setdefault(folder.resolve(), folder)
    return list(by_real.values())
