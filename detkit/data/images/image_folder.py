"""Image files under the names that annotations call them by."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from detkit.data.detection.annotations import OWN_NAME
from detkit.data.formats.read_file import names_in
from detkit.data.images.image_names import AS_IS, last_part, last_parts, plainest, readings
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

SAMPLED = 50
LastPart = Literal["always", "elsewhere", "never"]


def fold(name: str) -> str:
    """A name without what file systems differ in: case and the composition of accents."""
    return unicodedata.normalize("NFC", name).casefold()


class ImageFolder:
    """Finds image files below one folder.

    Args:
        folder: where names start.
        by_last_part: whether a name may be found by its last part alone: 'always', 'never', or
            'elsewhere', where there is no such folder below this one as it lies in.
        exact: whether only the very name counts, as for who reads the files without this class.

    Attributes:
        found: the paths below the folder that were found so far.
        read_as: how a name was read, for those that were not found as they stand: by the way
            of reading the paths found by name.
    """

    def __init__(
        self, folder: Path, by_last_part: LastPart = "never", exact: bool = False
    ) -> None:
        self.folder = folder
        self.by_last_part = by_last_part
        self.exact = exact
        self.found: set[str] = set()
        self.read_as: dict[str, dict[str, str]] = {}
        self._folded: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str) -> str | None:
        """Path below the folder, with '/', of the file called ``name``; None when there is none.

        A name that differs only in case or in the composition of accents is found, unless two
        files answer to it; so is one with backslashes, percent-encoding or inside a URL.
        """
        for how, path in self._readings(name):
            found = self._file(path)
            if found is not None:
                self.found.add(found)
                if how != AS_IS:
                    self.read_as.setdefault(how, {})[name] = found
                return found
        return None

    def _readings(self, name: str) -> Iterator[tuple[str, str]]:
        if self.exact:
            yield AS_IS, name
            return
        yield from readings(name)
        if self.by_last_part == "always" or (
                self.by_last_part == "elsewhere" and self._lies_elsewhere(name)):
            yield from last_parts(name)

    def _lies_elsewhere(self, name: str) -> bool:
        folders = {path.replace("\\", "/").rpartition("/")[0] for _, path in readings(name)}
        # isdir is false, where Path.is_dir raises, for names too long for a file system.
        return not any(os.path.isdir(os.path.join(self.folder, folder)) for folder in folders)

    def _file(self, path: str) -> str | None:
        # isfile is false, where Path.is_file raises, for names too long for a file system.
        if os.path.isfile(os.path.join(self.folder, path)):
            return path
        if self.exact or path.startswith("/"):
            return None
        here = ""
        for part in path.split("/"):
            if part in ("", "."):
                continue
            alike = [part] if part == ".." else self._listing(here).get(fold(part), [])
            if part in alike:
                alike = [part]
            if len(alike) != 1:
                return None
            here = f"{here}/{alike[0]}" if here else alike[0]
        return here if os.path.isfile(os.path.join(self.folder, here)) else None

    def _listing(self, parent: str) -> dict[str, list[str]]:
        if parent not in self._folded:
            listing: dict[str, list[str]] = {}
            for name in names_in(os.path.join(self.folder, parent)):
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
        DataError: no candidate holds any of the images, or two of a tier hold equally many, and
            other ones.
    """
    step = max(1, len(names) // SAMPLED)
    sample = names[::step]
    paths = {plainest(name) for name in names}
    tried: list[Path] = []
    # Cutting the folders off must not make one name of two images.
    unlike = len({fold(last_part(path)) for path in paths}) == len(paths)
    ways: tuple[LastPart, ...] = ("never", "always") if unlike else ("never",)
    for by_last_part in ways:
        most = (0, 0)
        winners: list[ImageFolder] = []
        for tier in tiers:
            folders = _distinct(tier)
            tried += folders
            for_tier = most
            for folder in folders:
                candidate = ImageFolder(folder, by_last_part)
                held = _held(candidate, sample)
                if held > most:
                    most, winners = held, [candidate]
                # By absolute names, and by '../images/', several folders lead to the same files.
                elif held == most > for_tier and _files(candidate) != _files(winners[0]):
                    winners.append(candidate)
        if len(winners) > 1:
            raise DataError(
                f"{who}: its images are in two folders, {winners[0].folder} and "
                f"{winners[1].folder}",
                do="keep one of the two in the data folder",
            )
        if winners:
            if unlike and by_last_part == "never" and 2 * most[0] > len(sample):
                # Surely the folder; lists put together call some by paths on another machine.
                by_last_part = "elsewhere"
            return ImageFolder(winners[0].folder, by_last_part)
    looked = ", ".join(str(folder) for folder in dict.fromkeys(tried)) or "no folder at all"
    raise DataError(f"{who}: none of its {len(names)} images is there, such as '{names[0]}'",
                    do=f"put the images beside it; looked in {looked}")


def note_readings(folder: ImageFolder, who: str, ledger: Ledger) -> None:
    """Note the names that were found otherwise than as they stand, in one line for each way.

    Args:
        folder: after each name was looked up in it.
        who: the annotation file.
    """
    for how, names in folder.read_as.items():
        name, path = next(iter(names.items()))
        ledger.notes.append(f"{who}: {len(names)} file names are found {how}, such as '{name}' as "
                            f"'{path}'")


def unify_names(records: Sequence[dict[str, Any]], folder: ImageFolder) -> None:
    """Give image records that lead to one file one name, the first one's, in place.

    Two lists that were put together may call an image 'a/b.jpg' and 'a\\b.jpg': under one name
    they are seen to be the same. A name that is changed stays as ``raw.OWN_NAME``.
    """
    first: dict[str, str] = {}
    for record in records:
        name = record.get("file_name")
        path = folder.find(name) if isinstance(name, str) and name else None
        if path is not None and first.setdefault(path, str(name)) != name:
            record.update({OWN_NAME: name, "file_name": first[path]})


def _held(folder: ImageFolder, names: Sequence[str]) -> tuple[int, int]:
    """How many of the names are there, and how many of them as they stand."""
    count = sum(folder.find(name) is not None for name in names)
    return count, count - sum(map(len, folder.read_as.values()))


def _files(folder: ImageFolder) -> set[str]:
    return {os.path.realpath(os.path.join(folder.folder, name)) for name in folder.found}


def _distinct(folders: Sequence[Path]) -> list[Path]:
    by_real: dict[Path, Path] = {}
    for folder in folders:
        if folder.is_dir():
            by_real.setdefault(folder.resolve(), folder)
    return list(by_real.values())
