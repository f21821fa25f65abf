"""Find image files by the names in annotations."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from detkit.data.detection.annotations import ORIGINAL_NAME_KEY
from detkit.data.formats.read_file import list_dir_names
from detkit.data.images.image_names import AS_IS, basename, basenames, canonical_name, name_variants
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

MAX_SAMPLED_NAMES = 50
BasenameMatch = Literal["always", "elsewhere", "never"]


def casefold_name(name: str) -> str:
    """A name without differences between file systems: in lower case and Unicode NFC."""
    return unicodedata.normalize("NFC", name).casefold()


class ImageFolder:
    """Finds image files below one folder.

    Args:
        folder: the folder that names are relative to.
        match_basename: whether a name may be found by its base name alone: 'always', 'never', or
            'elsewhere', if the folder in the name does not exist below ``folder``.
        exact: whether only the exact name is accepted, as by other code that reads the files.

    Attributes:
        found_paths: the relative paths found so far.
        variants_used: for names that were found by a variant: type of variant -> name -> path.
    """

    def __init__(
        self, folder: Path, match_basename: BasenameMatch = "never", exact: bool = False
    ) -> None:
        self.folder = folder
        self.match_basename = match_basename
        self.exact = exact
        self.found_paths: set[str] = set()
        self.variants_used: dict[str, dict[str, str]] = {}
        self._folded: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str) -> str | None:
        """The relative path, with '/', of the file called ``name``; None when there is none.

        A name that differs in case or Unicode normalization is found, unless two files match; so
        is a name with backslashes, with percent-encoding or in a URL.
        """
        for variant, path in self._name_variants(name):
            resolved = self._resolve_file(path)
            if resolved is not None:
                self.found_paths.add(resolved)
                if variant != AS_IS:
                    self.variants_used.setdefault(variant, {})[name] = resolved
                return resolved
        return None

    def _name_variants(self, name: str) -> Iterator[tuple[str, str]]:
        if self.exact:
            yield AS_IS, name
            return
        yield from name_variants(name)
        if self.match_basename == "always" or (
                self.match_basename == "elsewhere" and self._names_missing_dir(name)):
            yield from basenames(name)

    def _names_missing_dir(self, name: str) -> bool:
        folders = {path.replace("\\", "/").rpartition("/")[0] for _, path in name_variants(name)}
        # isdir is false, where Path.is_dir raises, for names too long for a file system.
        return not any(os.path.isdir(os.path.join(self.folder, folder)) for folder in folders)

    def _resolve_file(self, path: str) -> str | None:
        # isfile is false, where Path.is_file raises, for names too long for a file system.
        if os.path.isfile(os.path.join(self.folder, path)):
            return path
        if self.exact or path.startswith("/"):
            return None
        current = ""
        for component in path.split("/"):
            if component in ("", "."):
                continue
            matches = [component] if component == ".." else self._list_dir(current).get(
                casefold_name(component), [])
            if component in matches:
                matches = [component]
            if len(matches) != 1:
                return None
            current = f"{current}/{matches[0]}" if current else matches[0]
        return current if os.path.isfile(os.path.join(self.folder, current)) else None

    def _list_dir(self, parent: str) -> dict[str, list[str]]:
        if parent not in self._folded:
            listing: dict[str, list[str]] = {}
            for name in list_dir_names(os.path.join(self.folder, parent)):
                listing.setdefault(casefold_name(name), []).append(name)
            self._folded[parent] = listing
        return self._folded[parent]


def choose_folder(names: Sequence[str], candidates: Sequence[Sequence[Path]],
                  source: str) -> ImageFolder:
    """The folder that holds the images of an annotation file.

    Args:
        names: file names as in the annotations; at least one.
        candidates: groups of folders, the more likely groups first.
        source: the annotation file, for messages.

    Raises:
        DataError: no candidate holds any of the images, or two of a group hold the same number
            of different images.
    """
    step = max(1, len(names) // MAX_SAMPLED_NAMES)
    sample = names[::step]
    paths = {canonical_name(name) for name in names}
    searched_dirs: list[Path] = []
    # Base names are used only where they are unique.
    unique_basenames = len({casefold_name(basename(path)) for path in paths}) == len(paths)
    modes: tuple[BasenameMatch, ...] = ("never", "always") if unique_basenames else ("never",)
    for match_basename in modes:
        best = (0, 0)
        winners: list[ImageFolder] = []
        for candidate_group in candidates:
            folders = _unique_dirs(candidate_group)
            searched_dirs += folders
            best_before = best
            for folder in folders:
                candidate = ImageFolder(folder, match_basename)
                num_found = _count_found(candidate, sample)
                if num_found > best:
                    best, winners = num_found, [candidate]
                # Absolute names, and '../images/', lead to the same files from several folders.
                elif num_found == best > best_before and _real_paths(candidate) != _real_paths(
                        winners[0]):
                    winners.append(candidate)
        if len(winners) > 1:
            raise DataError(
                f"{source}: its images are in two folders, {winners[0].folder} and "
                f"{winners[1].folder}",
                hint="keep one of the two in the data folder",
            )
        if winners:
            if unique_basenames and match_basename == "never" and 2 * best[0] > len(sample):
                # Most names are found; in merged files, some may have paths of other machines.
                match_basename = "elsewhere"
            return ImageFolder(winners[0].folder, match_basename)
    searched = ", ".join(str(folder)
                         for folder in dict.fromkeys(searched_dirs)) or "no folder at all"
    raise DataError(f"{source}: none of its {len(names)} images exists, such as '{names[0]}'",
                    hint=f"move the images beside it; searched in {searched}")


def note_name_variants(folder: ImageFolder, source: str, ledger: Ledger) -> None:
    """Note the names that were found by a variant, with one note for each type.

    Args:
        folder: after each name was looked up in it.
        source: the annotation file.
        ledger: receives the notes.
    """
    for variant, names in folder.variants_used.items():
        name, path = next(iter(names.items()))
        ledger.notes.append(
            f"{source}: {len(names)} file names are found {variant}, such as '{name}' as "
            f"'{path}'")


def unify_file_names(records: Sequence[dict[str, Any]], folder: ImageFolder) -> None:
    """Rename image records of the same file to the name of the first one, in place.

    Merged annotation files may have an image as 'a/b.jpg' and as 'a\\b.jpg'; with one name they
    are recognized as duplicates. The original name is kept under ``ORIGINAL_NAME_KEY``.
    """
    first: dict[str, str] = {}
    for record in records:
        name = record.get("file_name")
        path = folder.find(name) if isinstance(name, str) and name else None
        if path is not None and first.setdefault(path, str(name)) != name:
            record.update({ORIGINAL_NAME_KEY: name, "file_name": first[path]})


def _count_found(folder: ImageFolder, names: Sequence[str]) -> tuple[int, int]:
    """The number of names that are found, and of those without a variant."""
    count = sum(folder.find(name) is not None for name in names)
    return count, count - sum(map(len, folder.variants_used.values()))


def _real_paths(folder: ImageFolder) -> set[str]:
    return {os.path.realpath(os.path.join(folder.folder, name)) for name in folder.found_paths}


def _unique_dirs(folders: Sequence[Path]) -> list[Path]:
    by_real_path: dict[Path, Path] = {}
    for folder in folders:
        if folder.is_dir():
            by_real_path.setdefault(folder.resolve(), folder)
    return list(by_real_path.values())
