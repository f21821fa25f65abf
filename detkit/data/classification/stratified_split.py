"""Splits that a set of labelled pictures lacks: made class by class, or stood in for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkit.data.classification.image_label import ClassRecord
from detkit.data.detection.splits import SHARES, stand_in
from detkit.data.report.class_ledger import ClassLedger
from detkit.data.report.ledger import REFUSED, SplitCount

LEAST = 3


def complete_splits(
    parts: Mapping[str, list[ClassRecord]], image_dirs: dict[str, Path],
    identical: Sequence[Sequence[Path]], seed: int, ledger: ClassLedger,
) -> dict[str, list[ClassRecord]]:
    """Train, val and test, where all are to be had from what is there; told in the ledger.

    Args:
        parts: records by split; the one key 'all', or train alone, is divided.
        image_dirs: by split; completed too.
        identical: groups of files with the same bytes.
    """
    done = dict(parts)
    if set(done) in ({"all"}, {"train"}):
        (only,) = done
        lacks = "there are no splits" if only == "all" else "there is only a train split"
        whole, count = done.pop(only), ledger.splits.pop(only)
        done, few = divide_classes(whole, image_dirs[only], identical, seed)
        for name, part in done.items():
            image_dirs[name] = image_dirs[only]
            ledger.splits[name] = SplitCount(len(part))
        # What was left out belongs to no part; it is told with the part that most goes to.
        ledger.splits["train"].images_left_out = count.images_left_out
        ledger.notes.append(
            f"{lacks}: each class is divided by seed {seed} into "
            f"{1 - sum(SHARES.values()):.0%} train, {SHARES['val']:.0%} val and "
            f"{SHARES['test']:.0%} test, in all "
            + ", ".join(f"{name} {len(part)}" for name, part in done.items())
            + " images (byte-identical images on one side)")
        for label, number in few.items():
            ledger.add("few_images_of_class", f"the class '{label}' has {number} different "
                       "image(s), too few for train, val and test: "
                       + ("none is in test" if number > 1 else "it is never measured"), "kept")
        if whole and not done["val"]:
            ledger.add("too_few_images", "there are no two different images of any class: none "
                       "is left to measure on; put in more, or a val folder", REFUSED)
        for name in ("val", "test"):
            if whole and not done[name]:
                del done[name], ledger.splits[name]
    return stand_in(done, image_dirs, ledger)


def divide_classes(
    records: Sequence[ClassRecord], image_dir: Path, identical: Sequence[Sequence[Path]], seed: int
) -> tuple[dict[str, list[ClassRecord]], dict[str, int]]:
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
    follows = _followers(records, image_dir, identical)
    members: dict[str, list[str]] = {}
    for record in records:
        if record.path not in follows:
            members.setdefault(record.label, []).append(record.path)
    side: dict[str, str] = {}
    few: dict[str, int] = {}
    for label, paths in members.items():
        order = sorted(paths, key=lambda path: hashlib.sha256(
            f"{seed}:{path}".encode("utf-8", "surrogateescape")).digest())
        if len(order) < LEAST:
            few[label] = len(order)
        rest = iter(order)
        for split, size in _sizes(len(order)).items():
            side.update((path, split) for _, path in zip(range(size), rest))
        side.update((path, "train") for path in rest)
    parts: dict[str, list[ClassRecord]] = {"train": [], "val": [], "test": []}
    for record in records:
        parts[side[follows.get(record.path, record.path)]].append(record)
    return parts, few


def _sizes(count: int) -> dict[str, int]:
    """How many of ``count`` go to val and to test."""
    if count >= LEAST:
        return {split: max(1, round(share * count)) for split, share in SHARES.items()}
    return {"val": count - 1, "test": 0}


def _followers(
    records: Sequence[ClassRecord], image_dir: Path, identical: Sequence[Sequence[Path]]
) -> dict[str, str]:
    """Path -> path of the first picture with the same bytes, for all but those firsts."""
    if not identical:
        return {}
    by_file = {os.path.normpath(os.path.join(image_dir, record.path)): record.path
               for record in records}
    follows: dict[str, str] = {}
    for group in identical:
        first, *others = [by_file[str(path)] for path in group]
        follows.update((other, first) for other in others)
    return follows
