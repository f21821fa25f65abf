"""Checks over all splits: classes that a split lacks, images in two splits, unused images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.data.detection.usable_objects import check_has_objects, count_objects
from detkit.data.images.duplicates import find_cross_split_duplicates
from detkit.data.images.image_folder import ImageFolder
from detkit.data.images.read_image import IMG_EXTENSIONS
from detkit.data.report.ledger import Ledger
from detkit.text import list_names

MAX_LISTED = 3


def check_across_splits(
    clean: Mapping[str, dict[str, Any]], image_dirs: Mapping[str, Path],
    classes: Sequence[str], ledger: Ledger, box_counts: Mapping[str, int] | None = None,
) -> None:
    """Report issues that involve more than one split.

    Args:
        clean: cleaned COCO json by split; a split used in place of another is the same object.
        image_dirs: image folder by split.
        classes: class names in the order of category ids from 1.
        ledger: receives the issues.
        box_counts: the number of boxes of each class in the files, valid or not.
    """
    for name, content in clean.items():
        check_has_objects(content, name, ledger)
    _check_classes(clean, classes, ledger, box_counts or {})
    paths: dict[str, list[Path]] = {}
    for name, content in clean.items():
        if not any(content["images"] == clean[other]["images"] for other in paths):
            paths[name] = [image_dirs[name] / image["file_name"] for image in content["images"]]
    for group in find_cross_split_duplicates(paths):
        locations = ", ".join(f"{path} ({' and '.join(names)})" for path, names in group.items())
        first = next(iter(group))
        ledger.add("image_in_two_splits", f"the same bytes are in {locations}: it would be "
                   "evaluated after training on it, or twice", "kept",
                   file=str(first), image=first.name)


def _check_classes(
    clean: Mapping[str, dict[str, Any]], classes: Sequence[str], ledger: Ledger,
    box_counts: Mapping[str, int],
) -> None:
    counts = {name: count_objects(content) for name, content in clean.items()}
    annotated = {
        name: Counter(box["category_id"]
                      for box in content["annotations"])
        for name, content in clean.items()
    }
    for category_id, name in enumerate(classes, start=1):
        by_split = {split: split_counts[category_id] for split, split_counts in counts.items()}
        ignored = {
            split: split_counts[category_id] - by_split[split]
            for split, split_counts in annotated.items()
            if split_counts[category_id] > by_split[split]
        }
        ignored_note = "; crowd, difficult and tiny boxes are not counted: " * bool(
            ignored) + ", ".join(f"{split} {count}" for split, count in ignored.items())
        in_train = by_split.pop("train", None)
        elsewhere = ", ".join(f"{split} {count}" for split, count in by_split.items() if count)
        if not in_train and not elsewhere:
            dropped_note = "" if ignored or not box_counts.get(name) else (
                f": all {box_counts[name]} in the files were left out")
            ledger.add("unused_class",
                       f"the class '{name}' has no box in any split{dropped_note}{ignored_note}",
                       "kept")
        elif in_train == 0:
            ledger.add("class_not_in_train", f"the class '{name}' has no box in train, but in "
                       f"{elsewhere}: it cannot be learned, and its AP counts{ignored_note}",
                       "kept")
        elif by_split and not elsewhere:
            ledger.add("class_only_in_train", f"the class '{name}' has {in_train} box(es) in train "
                       f"and none elsewhere: it is trained and never evaluated{ignored_note}",
                       "kept")


def note_unlisted_images(folders: Sequence[ImageFolder], ledger: Ledger) -> None:
    """Report image files in the folders of used images that are in no annotation file.

    Args:
        folders: of all splits, after each name was looked up in them.
        ledger: receives the issues.
    """
    used: dict[Path, set[str]] = {}
    for folder in folders:
        for name in folder.found_paths:
            parent, _, last = name.rpartition("/")
            path = folder.folder / parent
            if ".." in parent:  # the same folder may also be used under its plain name
                path = path.resolve()
            used.setdefault(path, set()).add(last)
    for path, names in used.items():
        extra = sorted(name for name in set(os.listdir(path)) - names
                       if os.path.splitext(name)[1].lower() in IMG_EXTENSIONS
                       and not name.startswith("."))
        if extra:
            ledger.add("images_without_record", f"{len(extra)} images are in no annotation file: "
                       + list_names(extra, MAX_LISTED), "left out", file=str(path))


def note_unused_folders(
    folders: Sequence[ImageFolder], images: Mapping[Path, int], root: Path, ledger: Ledger
) -> None:
    """Note folders without any used image, such as a split without annotations.

    Args:
        folders: of all splits, after each name was looked up in them.
        images: the number of images directly in each folder below ``root``.
        root: the data set.
        ledger: receives the note.
    """
    parents = {os.path.dirname(os.path.join(folder.folder, name))
               for folder in folders for name in folder.found_paths}
    used = set(map(os.path.realpath, parents))
    unused = [f"{path.relative_to(root)} ({count})" for path, count in images.items()
              if os.path.realpath(path) not in used]
    if unused:
        ledger.notes.append("folders of images that are in no annotation file: "
                            + list_names(unused, MAX_LISTED))
