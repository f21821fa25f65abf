"""Splits that a set of labelled pictures lacks: made class by class, or stood in for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkit.data.classification.image_label import ImageLabel
from detkit.data.detection.splits import SPLIT_RATIOS, fallback_split
from detkit.data.report.classification_ledger import ClassificationLedger
from detkit.data.report.ledger import ERROR, SplitCount

MIN_PER_CLASS = 3


def complete_splits(
    labels_by_split: Mapping[str, list[ImageLabel]], image_dirs: dict[str, Path],
    identical: Sequence[Sequence[Path]], seed: int, ledger: ClassificationLedger,
) -> dict[str, list[ImageLabel]]:
    """Train, val and test, where all are to be had from what is there; told in the ledger.

    Args:
        labels_by_split: records by split; the one key 'all', or train alone, is divided.
        image_dirs: by split; completed too.
        identical: groups of files with the same bytes.
    """
    completed = dict(labels_by_split)
    if set(completed) in ({"all"}, {"train"}):
        (only_split,) = completed
        reason = "there are no splits" if only_split == "all" else "there is only a train split"
        all_labels, count = completed.pop(only_split), ledger.splits.pop(only_split)
        completed, small_classes = stratified_split(all_labels, image_dirs[only_split], identical,
                                                    seed)
        for name, labels in completed.items():
            image_dirs[name] = image_dirs[only_split]
            ledger.splits[name] = SplitCount(len(labels))
        # What was left out belongs to no part; it is told with the part that most goes to.
        ledger.splits["train"].images_left_out = count.images_left_out
        ledger.notes.append(
            f"{reason}: each class is divided by seed {seed} into "
            f"{1 - sum(SPLIT_RATIOS.values()):.0%} train, {SPLIT_RATIOS['val']:.0%} val and "
            f"{SPLIT_RATIOS['test']:.0%} test, in all "
            + ", ".join(f"{name} {len(labels)}" for name, labels in completed.items())
            + " images (byte-identical images on one side)")
        for label, num_images in small_classes.items():
            ledger.add("few_images_of_class", f"the class '{label}' has {num_images} different "
                       "image(s), too few for train, val and test: "
                       + ("none is in test" if num_images > 1 else "it is never measured"), "kept")
        if all_labels and not completed["val"]:
            ledger.add("too_few_images", "there are no two different images of any class: none "
                       "is left to measure on; put in more, or a val folder", ERROR)
        for name in ("val", "test"):
            if all_labels and not completed[name]:
                del completed[name], ledger.splits[name]
    return fallback_split(completed, image_dirs, ledger)


def stratified_split(
    records: Sequence[ImageLabel], image_dir: Path, identical: Sequence[Sequence[Path]], seed: int
) -> tuple[dict[str, list[ImageLabel]], dict[str, int]]:
    """Divide pictures into train, val and test: of each class 80, 10 and 10 %.

    Which side a picture falls on depends on the seed, its path and those of its class alone;
    pictures with the same bytes fall on one side, and count for the class of their first. A
    class of three or more has at least one in val and in test; of two, one in train and one in
    val; a single one is in train.

    Args:
        records: may be none.
        identical: groups of files with the same bytes.

    Returns:
        Records by split, in the order given; and the classes with fewer than three different
        pictures, with how many they have.
    """
    duplicate_of = _map_duplicates(records, image_dir, identical)
    members: dict[str, list[str]] = {}
    for record in records:
        if record.path not in duplicate_of:
            members.setdefault(record.label, []).append(record.path)
    split_of: dict[str, str] = {}
    small_classes: dict[str, int] = {}
    for label, paths in members.items():
        shuffled = sorted(paths, key=lambda path: hashlib.sha256(
            f"{seed}:{path}".encode("utf-8", "surrogateescape")).digest())
        if len(shuffled) < MIN_PER_CLASS:
            small_classes[label] = len(shuffled)
        remaining = iter(shuffled)
        for split, size in _split_sizes(len(shuffled)).items():
            split_of.update((path, split) for _, path in zip(range(size), remaining))
        split_of.update((path, "train") for path in remaining)
    labels_by_split: dict[str, list[ImageLabel]] = {"train": [], "val": [], "test": []}
    for record in records:
        labels_by_split[split_of[duplicate_of.get(record.path, record.path)]].append(record)
    return labels_by_split, small_classes


def _split_sizes(count: int) -> dict[str, int]:
    """How many of ``count`` go to val and to test."""
    if count >= MIN_PER_CLASS:
        return {split: max(1, round(ratio * count)) for split, ratio in SPLIT_RATIOS.items()}
    return {"val": count - 1, "test": 0}


def _map_duplicates(
    records: Sequence[ImageLabel], image_dir: Path, identical: Sequence[Sequence[Path]]
) -> dict[str, str]:
    """Path -> path of the first picture with the same bytes, for all but those firsts."""
    if not identical:
        return {}
    by_file = {os.path.normpath(os.path.join(image_dir, record.path)): record.path
               for record in records}
    duplicate_of: dict[str, str] = {}
    for group in identical:
        first, *others = [by_file[str(path)] for path in group]
        duplicate_of.update((other, first) for other in others)
    return duplicate_of
