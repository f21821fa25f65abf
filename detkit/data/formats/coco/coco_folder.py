"""COCO folders: which json is which split, and where its images are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from detkit.data.detection.annotations import SPLITS, RawSplit, split_word
from detkit.data.formats.coco.coco_file import is_coco, json_stem, read_coco
from detkit.data.formats.read_file import UnreadableFile
from detkit.data.formats.subfolders import Subfolders
from detkit.data.images.image_folder import ImageFolder, choose_folder
from detkit.errors import DataError

OTHER_TASKS = re.compile(r"captions|image_info|panoptic|stuff|unlabeled")
ALIASES = {
    "train": ("train", "training"), "val": ("val", "valid", "validation"),
    "test": ("test", "testing"), "all": (),
}
IMAGE_FOLDERS = ("images", "JPEGImages", "imgs", "img", "data")


def find_coco_files(root: Path, files: Sequence[Path]) -> dict[str, Path]:
    """The annotation file of each split among the json files below ``root``.

    Splits are told by words in the file's name, else in its folder's. A set of one file
    without such a word has the one key 'all'. Empty when no file is COCO truth. A packed file
    beside the same unpacked is passed over.

    Raises:
        DataError: two files could be the same split.
    """
    words: dict[str, list[Path]] = {}
    unnamed: list[Path] = []
    there = set(files)
    for path in files:
        if path.suffix.lower() == ".gz" and path.with_suffix("") in there:
            continue
        if OTHER_TASKS.search(json_stem(path).lower()):
            continue
        word = split_word(json_stem(path))
        for folder in path.relative_to(root).parents[:-1]:
            word = word or split_word(folder.name)
        if word is None:
            unnamed.append(path)
        else:
            words.setdefault(word, []).append(path)
    chosen: dict[str, Path] = {}
    for name in SPLITS:
        only = _only_one(words.get(name, []), f"the {name} split", is_coco)
        if only is not None:
            chosen[name] = only
    if chosen:
        return chosen
    only = _only_one(unnamed, "the annotations", readable_coco)
    return {} if only is None else {"all": only}


def _only_one(
    paths: Sequence[Path], what: str, fits: Callable[[Path], bool]
) -> Path | None:
    likely = [path for path in paths if json_stem(path).lower().startswith("instances")]
    if len(likely) != 1:
        likely = list(paths)
    if len(likely) == 1 and _plainly_named(likely[0]):
        return likely[0]  # reading it will say what is wrong with it; no need to read it twice
    likely = [path for path in likely if fits(path)]
    if len(likely) > 1:
        raise DataError(f"two files could be {what}: {likely[0]} and {likely[1]}",
                        do="name one of the two folders, or keep one of the two files")
    return likely[0] if likely else None


def readable_coco(path: Path) -> bool:
    """Files that no split is named by may be anything: a broken one is just another file."""
    try:
        return is_coco(path)
    except UnreadableFile:
        raise
    except DataError:
        return False


def _plainly_named(path: Path) -> bool:
    stem = json_stem(path).lower()
    return stem.startswith(("instances", "_annotations")) or any(
        stem in aliases for aliases in ALIASES.values())


def read_coco_split(root: Path, name: str, path: Path) -> tuple[RawSplit, ImageFolder]:
    """Read one split and find its images.

    Raises:
        DataError: the file is no COCO truth, lists no image, or its images are not found.
    """
    raw = read_coco(path, name, path.parent)
    names = [record["file_name"] for record in raw.images
             if isinstance(record.get("file_name"), str) and record["file_name"]]
    if not names:
        raise DataError(f"{path}: it lists no image", expected="at least one with a file_name")
    folder = choose_folder(names, _tiers(root, name, path), str(path))
    raw.image_dir = folder.folder
    return raw, folder


def _tiers(root: Path, name: str, path: Path) -> list[list[Path]]:
    """Folders that the images may be in, the likelier first; names count in any case."""
    folders = Subfolders()

    def below(bases: Sequence[Path], names: Sequence[str]) -> list[Path]:
        return [folder for base in bases for folder in folders.named(base, names)]

    above = [path.parent]
    while above[-1] != root and root in above[-1].parents:
        above.append(above[-1].parent)
    stem = json_stem(path)
    bases = above + below(above, IMAGE_FOLDERS)
    named = below(bases, ALIASES[name])
    own = below([path.parent], [stem])
    if split_word(path.parent.name) == name and path.parent != root:
        own += [path.parent, *below([path.parent], IMAGE_FOLDERS)]
    return [
        below(bases, re.findall(r"[a-z]+\d{4}", stem.lower())),
        own,
        named + below(named, IMAGE_FOLDERS),
        bases,
        # CVAT's instances_SUBSET.json stands beside images/SUBSET, whatever the subset's name.
        below(bases, [re.sub("^instances_", "", stem, flags=re.IGNORECASE)]),
        [folder for base in bases for folder in folders.of_split(base, name)],
    ]
