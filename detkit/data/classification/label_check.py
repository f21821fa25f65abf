"""The check of labelled pictures: files that cannot be read, and what their labels contradict."""

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
from detkit.text import join_names

MAX_LISTED = 3
MAX_ASPECT_RATIO = 1000
LabelsBySplit = Mapping[str, Sequence[ImageLabel]]


def check_images(
    raw: RawClassificationSplit, class_map: Mapping[str, str], ledger: Ledger
) -> list[ImageLabel]:
    """Keep the pictures of one split that can be used, under the decided names of their classes.

    Those that cannot be read, or are 1000 times longer than wide, are left out and told.

    Args:
        class_map: name as declared -> name as decided; pictures of others are left out.
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
            ledger.add("thin_image", f"it is {width} x {height} pixels: too thin to be scaled to "
                       "a shorter side", "left out", **location)
        else:
            kept.append(record._replace(label=class_map[record.label]))
    left_out = raw.left_out + len(raw.records) - len(kept)
    ledger.splits[raw.name] = SplitCount(len(kept), left_out)
    if left_out > len(kept):
        ledger.add("too_many_images_left_out", f"only {len(kept)} images can be used and "
                   f"{left_out} can not; is this the right folder?", ERROR,
                   file=str(raw.source), split=raw.name)
    return kept


def check_duplicates(
    splits: LabelsBySplit, image_dirs: Mapping[str, Path], ledger: Ledger
) -> list[list[Path]]:
    """Note pictures whose bytes stand under two labels, or in two splits.

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
                "picture_with_two_labels", f"the same bytes are {_format_paths(paths)}, labelled "
                f"'{label}', and {_format_paths(others)}, labelled '{other}': one label is wrong",
                "kept", file=str(paths[0]))
        if len(by_split) > 1:
            description = ", ".join(
                f"{_format_paths(paths)} ({split})" for split, paths in by_split.items())
            ledger.add(
                "image_in_two_splits", f"the same bytes stand in {description}: what is measured "
                "on them was trained on, or measured twice", "kept", file=str(group[0]),
                image=group[0].name)
        copies.update({split: len(paths) - 1 for split, paths in by_split.items() if paths[1:]})
    for split, count in copies.items():
        where = "" if split == "all" else f" in {split}"
        ledger.notes.append(f"{count} images{where} have the same bytes as another there")
    return groups


def check_empty_classes(splits: Mapping[str, RawClassificationSplit], require_train: bool,
                        ledger: Ledger) -> None:
    """Refuse class folders of train without a picture; elsewhere they are only told."""
    for split, raw in splits.items():
        counts = Counter(record.label for record in raw.records)
        for name in raw.classes:
            if counts[name]:
                continue
            learned = split in ("train", "all") and require_train
            ledger.add("empty_class_folder", f"the class folder '{name}' holds no picture"
                       + (": a class that cannot be learnt. Put pictures into it, or remove the "
                          "folder" if learned else ""), ERROR if learned else "kept",
                       file=str(raw.source), split=split)


def check_train_classes(train: Sequence[ImageLabel], ledger: Ledger) -> None:
    """Refuse a train split all of whose records are of one class; none at all is told elsewhere."""
    learned = {record.label for record in train}
    if len(learned) == 1:
        ledger.add("too_few_classes", f"all {ledger.unit} in train are of the class "
                   f"'{learned.pop()}'; a classifier tells at least two apart", ERROR,
                   split="train")


def check_class_counts(splits: LabelsBySplit, classes: Sequence[str], ledger: Ledger,
                       *, strict: bool, classes_fixed: bool) -> None:
    """Count each class of each split, once all splits are there, and note what is lacking.

    Args:
        splits: records by split; one that stands in for another is the same object.
        strict: whether a class that cannot be learnt is refused: one that only val or test has.
        classes_fixed: whether the classes come from elsewhere, so that some may be missing
            altogether.
    """
    for split, records in splits.items():
        ledger.count_classes(split, (record.label for record in records), classes)
        if not records:
            ledger.add("split_without_images", f"the {split} split has no usable image", ERROR,
                       split=split)
    if len(classes) < 2:
        only = f"only the class '{classes[0]}'" if classes else "no class"
        ledger.add("too_few_classes", f"there is {only}; a classifier tells at least two apart: "
                   "name the folder that holds a folder for each class", ERROR,
                   file=ledger.source)
    few = {issue.message.removeprefix("the class '").rpartition("' has ")[0]
           for issue in ledger.filter_by_code("few_images_of_class")}
    for name in classes:
        by_split = {split: ledger.per_class[split][name] for split in splits}
        in_train = by_split.pop("train", None)
        elsewhere = ", ".join(f"{split} {count}" for split, count in by_split.items() if count)
        if in_train == 0 and elsewhere:
            ledger.add("class_not_in_train", f"the class '{name}' has no {ledger.unit} in train, "
                       f"but in {elsewhere}: it cannot be learnt"
                       + ("; put some into train, or take them out there" if strict else ""),
                       ERROR if strict else "kept", split="train")
        elif not in_train and not elsewhere:
            ledger.add("unused_class", f"the class '{name}' has no usable {ledger.unit} in "
                       "any split" + ("; put some in, or take the class out" if strict and
                                      not classes_fixed else ""),
                       ERROR if strict and not classes_fixed else "kept")
        elif by_split and not elsewhere and name not in few:
            ledger.add("class_only_in_train", f"the class '{name}' has {in_train} {ledger.unit} in "
                       "train and none elsewhere: it is learnt and never measured", "kept")


def _format_paths(paths: Sequence[Path]) -> str:
    return join_names(paths, MAX_LISTED, " and ")
