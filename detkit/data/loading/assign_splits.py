"""Train, val and test for data that lacks them: divided by a seed, or one used for another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from detkit.data.detection.annotations import SPLITS
from detkit.data.report.ledger import Ledger, SplitCount

T = TypeVar("T")

SPLIT_RATIOS = {"val": 0.1, "test": 0.1}
MIN_FOR_THREE_SPLITS = 3


def complete_splits(
    splits: Mapping[str, T], image_dirs: dict[str, Path], ledger: Ledger, seed: int,
    divide: Callable[[T, Path], dict[str, T]], count: Callable[[T], SplitCount],
    stratified: bool = False,
) -> dict[str, T]:
    """Train, val and test, as far as the given splits allow; notes in the ledger say how.

    Data without splits, or with only a train split, is divided. Where only val or only test is
    missing, the other one is used in its place.

    Args:
        splits: content by split; the single key 'all' for data without splits.
        image_dirs: image folder by split; completed in place.
        ledger: its counts by split are completed, too.
        seed: that ``divide`` uses, for the note.
        divide: from the content of one split and its image folder to that of train, val and test;
            val and test may be empty.
        count: the used images and boxes of a content.
        stratified: whether ``divide`` divides each class by itself, for the note.

    Returns:
        Content by split. A split that is used in place of another is the same object. Val or test
        without images is missing, unless there are no images at all.
    """
    completed = dict(splits)
    if set(completed) in ({"all"}, {"train"}):
        (only_split,) = completed
        image_dir, before = image_dirs[only_split], ledger.splits[only_split]
        completed = divide(completed[only_split], image_dir)
        del ledger.splits[only_split]
        for name, content in completed.items():
            image_dirs[name], ledger.splits[name] = image_dir, count(content)
        # Images that are left out belong to no split; they are counted with the largest one.
        ledger.splits["train"].images_left_out = before.images_left_out
        ledger.splits["train"].boxes_left_out = before.boxes_left_out
        sizes = {name: ledger.splits[name].images_used for name in completed}
        ledger.notes.append(
            f"there {'are no splits' if only_split == 'all' else 'is only a train split'}: divided "
            + "class by class " * stratified + f"by seed {seed} into "
            + ", ".join(f"{name} {size}" for name, size in sizes.items())
            + " images" + ", the same for val and test" * (completed["val"] is completed["test"])
            + f" ({SPLIT_RATIOS['val']:.0%} val, {SPLIT_RATIOS['test']:.0%} test; byte-identical "
            "images in one split)")
        for name in ("val", "test"):
            if not sizes[name] and any(sizes.values()):
                del completed[name], ledger.splits[name]
    return fallback_split(completed, image_dirs, ledger)


def fallback_split(splits: Mapping[str, T], image_dirs: dict[str, Path],
                   ledger: Ledger) -> dict[str, T]:
    """The splits in their order, val in place of a missing test split, or test of a missing val.

    Args:
        splits: content by split; a split that is used in place of another is the same object.
        image_dirs: image folder by split; completed in place.
        ledger: a note names the split that is used in place of another.
    """
    completed = dict(splits)
    for missing, other in (("val", "test"), ("test", "val")):
        if missing not in completed and other in completed:
            completed[missing] = completed[other]
            image_dirs[missing] = image_dirs[other]
            ledger.notes.append(f"there is no {missing} split: {other} is used in its place")
    return {name: completed[name] for name in SPLITS if name in completed}


def assign_splits(names: Collection[str], seed: int) -> dict[str, str]:
    """Assign each name to train, val or test: 80, 10 and 10 %.

    The assignment depends on the seed and the names alone. Of three or more names at least one
    is in val and one in test; of two, one is in train and one in val; a single one is in train.
    """
    shuffled = sorted(names, key=lambda name: hashlib.sha256(
        f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest())
    count = len(shuffled)
    if count >= MIN_FOR_THREE_SPLITS:
        sizes = {split: max(1, round(ratio * count)) for split, ratio in SPLIT_RATIOS.items()}
    else:
        sizes = {"val": max(0, count - 1)}
    remaining = iter(shuffled)
    split_of = {name: split for split, size in sizes.items()
                for _, name in zip(range(size), remaining)}
    split_of.update((name, "train") for name in remaining)
    return split_of


def map_duplicates(
    name_of: Mapping[Path, str], identical: Collection[Collection[Path]]
) -> dict[str, str]:
    """The first name with the same bytes, for each name that is not the first of its group.

    Args:
        name_of: the image's name by its file.
        identical: groups of files with the same bytes.
    """
    duplicate_of: dict[str, str] = {}
    for group in identical:
        first, *others = [name_of[path] for path in group]
        duplicate_of.update((other, first) for other in others)
    return duplicate_of
