"""COCO folders: the json file and the image folder of each split."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from detkit.data.detection.annotations import SPLITS, RawSplit, split_from_name
from detkit.data.formats.coco.coco_file import is_coco, json_stem, read_coco
from detkit.data.formats.read_file import UnreadableFileError
from detkit.data.formats.subfolders import Subfolders
from detkit.data.images.image_folder import ImageFolder, choose_folder
from detkit.errors import DataError

OTHER_TASK_PATTERN = re.compile(r"captions|image_info|panoptic|stuff|unlabeled")
SPLIT_ALIASES = {
    "train": ("train", "training"), "val": ("val", "valid", "validation"),
    "test": ("test", "testing"), "all": (),
}
IMAGE_FOLDERS = ("images", "JPEGImages", "imgs", "img", "data")


def find_coco_files(root: Path, files: Sequence[Path]) -> dict[str, Path]:
    """The annotation file of each split among the json files below ``root``.

    The split is taken from words in the file name, else in its folder names. A single file
    without such a word has the key 'all'. Empty when no file is a COCO annotation file. A gzip
    file is ignored where the unpacked file is beside it.

    Raises:
        DataError: two files could be the same split.
    """
    by_split: dict[str, list[Path]] = {}
    unnamed: list[Path] = []
    present = set(files)
    for path in files:
        if path.suffix.lower() == ".gz" and path.with_suffix("") in present:
            continue
        if OTHER_TASK_PATTERN.search(json_stem(path).lower()):
            continue
        split = split_from_name(json_stem(path))
        for folder in path.relative_to(root).parents[:-1]:
            split = split or split_from_name(folder.name)
        if split is None:
            unnamed.append(path)
        else:
            by_split.setdefault(split, []).append(path)
    chosen: dict[str, Path] = {}
    for name in SPLITS:
        selected = _select_file(by_split.get(name, []), f"the {name} split", is_coco)
        if selected is not None:
            chosen[name] = selected
    if chosen:
        return chosen
    selected = _select_file(unnamed, "the annotations", is_readable_coco)
    return {} if selected is None else {"all": selected}


def _select_file(
    paths: Sequence[Path], description: str, predicate: Callable[[Path], bool]
) -> Path | None:
    matches = [path for path in paths if json_stem(path).lower().startswith("instances")]
    if len(matches) != 1:
        matches = list(paths)
    if len(matches) == 1 and _has_standard_name(matches[0]):
        return matches[0]  # its errors are reported when it is read; it need not be read twice
    matches = [path for path in matches if predicate(path)]
    if len(matches) > 1:
        raise DataError(f"two files could be {description}: {matches[0]} and {matches[1]}",
                        hint="use the folder of one of them, or keep one of the two files")
    return matches[0] if matches else None


def is_readable_coco(path: Path) -> bool:
    """Whether a file is COCO; False for a file that is not json, which is then ignored."""
    try:
        return is_coco(path)
    except UnreadableFileError:
        raise
    except DataError:
        return False


def is_detection_json(path: Path) -> bool:
    """Whether a json file is COCO with boxes, and its name is not that of another task's file."""
    return not OTHER_TASK_PATTERN.search(json_stem(path).lower()) and is_readable_coco(path)


def _has_standard_name(path: Path) -> bool:
    stem = json_stem(path).lower()
    return stem.startswith(("instances", "_annotations")) or any(
        stem in aliases for aliases in SPLIT_ALIASES.values())


def read_coco_split(root: Path, name: str, path: Path) -> tuple[RawSplit, ImageFolder]:
    """Read one split and find its images.

    Raises:
        DataError: the file is not a COCO annotation file, lists no image, or its images are not
            found.
    """
    raw = read_coco(path, name, path.parent)
    names = [record["file_name"] for record in raw.images
             if isinstance(record.get("file_name"), str) and record["file_name"]]
    if not names:
        raise DataError(f"{path}: it lists no image", expected="at least one with a file_name")
    folder = choose_folder(names, _image_dir_candidates(root, name, path), str(path))
    raw.image_dir = folder.folder
    return raw, folder


def _image_dir_candidates(root: Path, name: str, path: Path) -> list[list[Path]]:
    """Folders that may hold the images, the more likely ones first; case is ignored."""
    folders = Subfolders()

    def find_subfolders(bases: Sequence[Path], names: Sequence[str]) -> list[Path]:
        return [folder for base in bases for folder in folders.find(base, names)]

    ancestors = [path.parent]
    while ancestors[-1] != root and root in ancestors[-1].parents:
        ancestors.append(ancestors[-1].parent)
    stem = json_stem(path)
    bases = ancestors + find_subfolders(ancestors, IMAGE_FOLDERS)
    split_dirs = find_subfolders(bases, SPLIT_ALIASES[name])
    same_name_dirs = find_subfolders([path.parent], [stem])
    if split_from_name(path.parent.name) == name and path.parent != root:
        same_name_dirs += [path.parent, *find_subfolders([path.parent], IMAGE_FOLDERS)]
    return [
        find_subfolders(bases, re.findall(r"[a-z]+\d{4}", stem.lower())),
        same_name_dirs,
        split_dirs + find_subfolders(split_dirs, IMAGE_FOLDERS),
        bases,
        # CVAT writes instances_SUBSET.json beside images/SUBSET, for any name of the subset.
        find_subfolders(bases, [re.sub("^instances_", "", stem, flags=re.IGNORECASE)]),
        [folder for base in bases for folder in folders.find_for_split(base, name)],
    ]
