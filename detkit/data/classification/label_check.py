"""The check of labelled pictures: files that cannot be read, and what their labels contradict."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkit.data.classification.image_label import ClassRecord, RawClassSplit
from detkit.data.images.duplicates import identical_files
from detkit.data.images.image_probe import survey
from detkit.data.report.class_ledger import ClassLedger
from detkit.data.report.ledger import REFUSED, SplitCount

NAMED = 3
THINNEST = 1000
Parts = Mapping[str, Sequence[ClassRecord]]


def check_pictures(
    raw: RawClassSplit, spelling: Mapping[str, str], ledger: ClassLedger
) -> list[ClassRecord]:
    """Keep the pictures of one split that can be used, under the decided names of their classes.

    Those that cannot be read, or are 1000 times longer than wide, are left out and told.

    Args:
        spelling: name as declared -> name as decided; pictures of others are left out.
    """
    known = [record for record in raw.records if record.label in spelling]
    facts = survey([raw.image_dir / record.path for record in known],
                   "images" if raw.name == "all" else f"{raw.name} images")
    kept = []
    for record, fact in zip(known, facts):
        place = {"file": str(raw.source), "image": record.path, "split": raw.name}
        width, height = fact.seen_wh
        for note in fact.notes:
            ledger.add(*note, **place)
        if fact.fault is not None:
            ledger.add("unreadable_image", fact.fault, "left out", **place)
        elif max(width, height) > THINNEST * min(width, height):
            ledger.add("thin_image", f"it is {width} x {height} pixels: too thin to be scaled to "
                       "a shorter side", "left out", **place)
        else:
            kept.append(record._replace(label=spelling[record.label]))
    left_out = raw.left_out + len(raw.records) - len(kept)
    ledger.splits[raw.name] = SplitCount(len(kept), left_out)
    if left_out > len(kept):
        ledger.add("too_many_images_left_out", f"only {len(kept)} images can be used and "
                   f"{left_out} can not; is this the right folder?", REFUSED,
                   file=str(raw.source), split=raw.name)
    return kept


def check_identical(
    parts: Parts, image_dirs: Mapping[str, Path], ledger: ClassLedger
) -> list[list[Path]]:
    """Note pictures whose bytes stand under two labels, or in two splits.

    Returns:
        Groups of two or more files with the same bytes.
    """
    standing: dict[Path, list[tuple[str, str]]] = {}
    for split, records in parts.items():
        for record in records:
            path = Path(os.path.normpath(image_dirs[split] / record.path))
            standing.setdefault(path, []).append((split, record.label))
    groups = identical_files(standing)
    copies: Counter[str] = Counter()
    for group in groups + [[path] for path, places in standing.items() if places[1:]]:
        by_label: dict[str, list[Path]] = {}
        by_split: dict[str, list[Path]] = {}
        for path in group:
            for split, label in standing[path]:
                by_label.setdefault(label, []).append(path)
                by_split.setdefault(split, []).append(path)
        for (label, paths), (other, others) in itertools.combinations(by_label.items(), 2):
            ledger.add("picture_with_two_labels", f"the same bytes are {_shown(paths)}, labelled "
                       f"'{label}', and {_shown(others)}, labelled '{other}': one label is wrong",
                       "kept", file=str(paths[0]))
        if len(by_split) > 1:
            named = ", ".join(f"{_shown(paths)} ({split})" for split, paths in by_split.items())
            ledger.add("image_in_two_splits", f"the same bytes stand in {named}: what is measured "
                       "on them was trained on, or measured twice", "kept",
                       file=str(group[0]), image=group[0].name)
        copies.update({split: len(paths) - 1 for split, paths in by_split.items() if paths[1:]})
    for split, number in copies.items():
        where = "" if split == "all" else f" in {split}"
        ledger.notes.append(f"{number} images{where} have the same bytes as another there")
    return groups


def check_empty(parts: Mapping[str, RawClassSplit], need_train: bool, ledger: ClassLedger) -> None:
    """Refuse class folders of train without a picture; elsewhere they are only told."""
    for split, raw in parts.items():
        counts = Counter(record.label for record in raw.records)
        for name in raw.classes:
            if counts[name]:
                continue
            learnt = split in ("train", "all") and need_train
            ledger.add("empty_class_folder", f"the class folder '{name}' holds no picture"
                       + (": a class that cannot be learnt. Put pictures into it, or remove the "
                          "folder" if learnt else ""), REFUSED if learnt else "kept",
                       file=str(raw.source), split=split)


def check_two_learnt(train: Sequence[ClassRecord], ledger: ClassLedger) -> None:
    """Refuse a train split all of whose records are of one class; none at all is told elsewhere."""
    learnt = {record.label for record in train}
    if len(learnt) == 1:
        ledger.add("too_few_classes", f"all {ledger.unit} in train are of the class "
                   f"'{learnt.pop()}'; a classifier tells at least two apart", REFUSED,
                   split="train")


def check_counts(
    parts: Parts, classes: Sequence[str], ledger: ClassLedger, *, refuse: bool, known: bool
) -> None:
    """Count each class of each split, once all splits are there, and note what is lacking.

    Args:
        parts: records by split; one that stands in for another is the same object.
        refuse: whether a class that cannot be learnt is refused: one that only val or test has.
        known: whether the classes come from elsewhere, so that some may be missing altogether.
    """
    for split, records in parts.items():
        ledger.count_classes(split, (record.label for record in records), classes)
        if not records:
            ledger.add("split_without_images", f"the {split} split has no usable image", REFUSED,
                       split=split)
    if len(classes) < 2:
        only = f"only the class '{classes[0]}'" if classes else "no class"
        ledger.add("too_few_classes", f"there is {only}; a classifier tells at least two apart: "
                   "name the folder that holds a folder for each class", REFUSED,
                   file=ledger.source)
    few = {fault.what.removeprefix("the class '").rpartition("' has ")[0]
           for fault in ledger.of_kind("few_images_of_class")}
    for name in classes:
        by_split = {split: ledger.per_class[split][name] for split in parts}
        in_train = by_split.pop("train", None)
        elsewhere = ", ".join(f"{split} {count}" for split, count in by_split.items() if count)
        if in_train == 0 and elsewhere:
            ledger.add("class_not_in_train", f"the class '{name}' has no {ledger.unit} in train, "
                       f"but in {elsewhere}: it cannot be learnt"
                       + ("; put some into train, or take them out there" if refuse else ""),
                       REFUSED if refuse else "kept", split="train")
        elif not in_train and not elsewhere:
            ledger.add("unused_class", f"the class '{name}' has no usable {ledger.unit} in "
                       "any split" + ("; put some in, or take the class out" if refuse and
                                      not known else ""),
                       REFUSED if refuse and not known else "kept")
        elif by_split and not elsewhere and name not in few:
            ledger.add("class_only_in_train", f"the class '{name}' has {in_train} {ledger.unit} in "
                       "train and none elsewhere: it is learnt and never measured", "kept")


def _shown(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - NAMED} more" if paths[NAMED:] else ""
    return " and ".join(str(path) for path in paths[:NAMED]) + more
