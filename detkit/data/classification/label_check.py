"""The check of labeled images: unreadable files, contradicting labels, classes without images."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkit.data.classification.image_label import ImageLabel, RawClassificationSplit
from detkit.data.images.duplicates import find_identical_files
from detkit.data.images.image_probe import probe_images
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger, SplitCount
from detkit.text import list_names

MAX_LISTED = 3
MAX_ASPECT_RATIO = 1000
LabelsBySplit = Mapping[str, Sequence[ImageLabel]]


def check_images(
    raw: RawClassificationSplit, class_map: Mapping[str, str], ledger: Ledger
) -> list[ImageLabel]:
    """The usable images of one split, with resolved class names.

    Images that cannot be read, or have an aspect ratio above 1000, are left out and reported.

    Args:
        raw: the split as read from its files.
        class_map: the class name of each declared name; images with other names are left out.
        ledger: receives the issues and the counts.
    """
    records = [record for record in raw.records if record.label in class_map]
    infos = probe_images([raw.image_dir / record.path for record in records],
                         "images" if raw.name == "all" else f"{raw.name} images")
    kept = []
    for record, info in zip(records, infos):
        location = {"file": str(raw.source), "image": record.path, "split": raw.name}
        width, height = info.upright_wh
        for note in info.notes:
            ledger.add(*note, **location)
        if info.error is not None:
            ledger.add("unreadable_image", info.error, "left out", **location)
        elif max(width, height) > MAX_ASPECT_RATIO * min(width, height):
            ledger.add("thin_image", f"it is {width} x {height} pixels: too thin for a resize of "
                       "the shorter side", "left out", **location)
        else:
            kept.append(record._replace(label=class_map[record.label]))
    left_out = raw.left_out + len(raw.records) - len(kept)
    ledger.splits[raw.name] = SplitCount(len(kept), left_out)
    if left_out > len(kept):
        ledger.add("too_many_images_left_out", f"only {len(kept)} images can be used, "
                   f"{left_out} cannot; is this the right folder?", ERROR,
                   file=str(raw.source), split=raw.name)
    return kept


def check_duplicates(
    splits: LabelsBySplit, image_dirs: Mapping[str, Path], ledger: Ledger
) -> list[list[Path]]:
    """Report byte-identical images with two labels, or in two splits.

    Returns:
        Groups of two or more files with the same bytes.
    """
    uses_by_path: dict[Path, list[tuple[str, str]]] = {}
    for split, records in splits.items():
        for record in records:
            path = Path(os.path.normpath(image_dirs[split] / record.path))
            uses_by_path.setdefault(path, []).append((split, record.label))
    groups = find_identical_files(uses_by_path)
    copies: Counter[str] = Counter()
    for group in groups + [[path] for path, uses in uses_by_path.items() if uses[1:]]:
        by_label: dict[str, list[Path]] = {}
        by_split: dict[str, list[Path]] = {}
        for path in group:
            for split, label in uses_by_path[path]:
                by_label.setdefault(label, []).append(path)
                by_split.setdefault(split, []).append(path)
        for (label, paths), (other, others) in itertools.combinations(by_label.items(), 2):
            ledger.add(
                "picture_with_two_labels", f"the same bytes are {_format_paths(paths)}, labeled "
                f"'{label}', and {_format_paths(others)}, labeled '{other}': one label is wrong",
                "kept", file=str(paths[0]))
        if len(by_split) > 1:
            description = ", ".join(
                f"{_format_paths(paths)} ({split})" for split, paths in by_split.items())
            ledger.add(
                "image_in_two_splits", f"the same bytes are in {description}: it would be "
                "evaluated after training on it, or twice", "kept", file=str(group[0]),
                image=group[0].name)
        copies.update({split: len(paths) - 1 for split, paths in by_split.items() if paths[1:]})
    for split, count in copies.items():
        where = "" if split == "all" else f" in {split}"
        ledger.notes.append(f"{count} images{where} have the same bytes as another one")
    return groups


def check_empty_classes(splits: Mapping[str, RawClassificationSplit], require_train: bool,
                        ledger: Ledger) -> None:
    """Report class folders without images: an error in train, a warning in other splits."""
    for split, raw in splits.items():
        counts = Counter(record.label for record in raw.records)
        for name in raw.classes:
            if counts[name]:
                continue
            is_trained = split in ("train", "all") and require_train
            ledger.add("empty_class_folder", f"the class folder '{name}' holds no image"
                       + (": the class cannot be learned. Add images, or remove the folder"
                          if is_trained else ""), ERROR if is_trained else "kept",
                       file=str(raw.source), split=split)


def check_train_classes(train: Sequence[ImageLabel], ledger: Ledger) -> None:
    """Report an error for a train split with a single class."""
    labels = {record.label for record in train}
    if len(labels) == 1:
        ledger.add("too_few_classes", f"all {ledger.unit} in train have the class "
                   f"'{labels.pop()}'; a classifier needs at least two", ERROR, split="train")


def check_class_counts(splits: LabelsBySplit, classes: Sequence[str], ledger: Ledger,
                       *, strict: bool, classes_fixed: bool) -> None:
    """Count the classes of the completed splits, and report missing ones.

    Args:
        splits: records by split; a split used in place of another is the same object.
        classes: class names in the order of their labels.
        ledger: receives the issues and the counts.
        strict: whether a class without images in train is an error.
        classes_fixed: whether the classes are given, for example by a checkpoint, so that some
            may have no images at all.
    """
    for split, records in splits.items():
        ledger.count_classes(split, (record.label for record in records), classes)
        if not records:
            ledger.add("split_without_images", f"the {split} split has no usable image", ERROR,
                       split=split)
    if len(classes) < 2:
        only = f"only the class '{classes[0]}'" if classes else "no class"
        ledger.add("too_few_classes", f"there is {only}; a classifier needs at least two: use the "
                   "folder that holds a folder for each class", ERROR,
                   file=ledger.source)
    few = {issue.message.removeprefix("the class '").rpartition("' has ")[0]
           for issue in ledger.filter_by_code("few_images_of_class")}
    for name in classes:
        by_split = {split: ledger.per_class[split][name] for split in splits}
        in_train = by_split.pop("train", None)
        elsewhere = ", ".join(f"{split} {count}" for split, count in by_split.items() if count)
        if in_train == 0 and elsewhere:
            ledger.add("class_not_in_train", f"the class '{name}' has no {ledger.unit} in train, "
                       f"but in {elsewhere}: it cannot be learned"
                       + ("; add some to train, or remove these" if strict else ""),
                       ERROR if strict else "kept", split="train")
        elif not in_train and not elsewhere:
            ledger.add("unused_class", f"the class '{name}' has no usable {ledger.unit} in "
                       "any split" + ("; add some, or remove the class" if strict and
                                      not classes_fixed else ""),
                       ERROR if strict and not classes_fixed else "kept")
        elif by_split and not elsewhere and name not in few:
            ledger.add("class_only_in_train", f"the class '{name}' has {in_train} {ledger.unit} in "
                       "train and none elsewhere: it is trained and never evaluated", "kept")


def _format_paths(paths: Sequence[Path]) -> str:
    return list_names(paths, MAX_LISTED)
