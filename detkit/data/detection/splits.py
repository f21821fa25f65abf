"""Splits that a data set lacks: made from a seed, or stood in for; never in silence."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from detkit.data.detection.annotations import SPLITS
from detkit.data.images.duplicates import find_identical_files
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError

T = TypeVar("T")

SPLIT_RATIOS = {"val": 0.1, "test": 0.1}


def split_dataset(clean: Mapping[str, Any], image_dir: Path,
                  seed: int) -> dict[str, dict[str, Any]]:
    """Divide cleaned COCO json into train, val and test: 80, 10 and 10 % of the images.

    Which side an image falls on depends on the seed and its file name alone; images with the
    same bytes fall on one side. With two images or groups of them, val and test are the same.
    Ids are numbered afresh from 1.

    Raises:
        DataError: there are not two different images.
    """
    names = [image["file_name"] for image in clean["images"]]
    groups = {name: [name] for name in names}
    name_of = {image_dir / name: name for name in names}
    for group_paths in find_identical_files(name_of):
        first, *rest = [name_of[path] for path in group_paths]
        for name in rest:
            groups[first] += groups.pop(name)
    ordered_groups = sorted(groups, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode(
        "utf-8", "surrogateescape")).digest())
    if len(ordered_groups) < 2:
        raise DataError(f"{image_dir}: {len(names)} image(s), too few to train on some and "
                        "measure on others", expected="at least 2 different images")
    chosen: dict[str, set[str]] = {}
    remaining = list(ordered_groups)
    for split, share in SPLIT_RATIOS.items():
        if len(remaining) == 1:
            chosen[split] = chosen["val"]
            continue
        size = max(1, round(share * len(ordered_groups)))
        chosen[split] = {name for group in remaining[:size] for name in groups[group]}
        remaining = remaining[size:]
    train = {name for group in remaining for name in groups[group]}
    return {split: select_images(clean, held) for split, held in
            (("train", train), ("val", chosen["val"]), ("test", chosen["test"]))}


def select_images(clean: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The images called ``names`` and their annotations, ids numbered afresh from 1."""
    images = [image for image in clean["images"] if image["file_name"] in names]
    new_ids = {image["id"]: index for index, image in enumerate(images, start=1)}
    boxes = [box for box in clean["annotations"] if box["image_id"] in new_ids]
    return {
        "images": [{**image, "id": new_ids[image["id"]]} for image in images],
        "annotations": [{**box, "id": index, "image_id": new_ids[box["image_id"]]}
                        for index, box in enumerate(boxes, start=1)],
        "categories": clean["categories"],
    }


def fallback_split(splits: Mapping[str, T], image_dirs: dict[str, Path],
                   ledger: Ledger) -> dict[str, T]:
    """The splits in their order, val in the place of a lacking test or test of a lacking val.

    Args:
        splits: by split; what stands in for another is the same object.
        image_dirs: by split; completed too.
        ledger: a note says what stands in.
    """
    completed = dict(splits)
    for missing, other in (("val", "test"), ("test", "val")):
        if missing not in completed and other in completed:
            completed[missing] = completed[other]
            image_dirs[missing] = image_dirs[other]
            ledger.notes.append(f"there is no {missing} split: {other} stands in for it")
    return {name: completed[name] for name in SPLITS if name in completed}
