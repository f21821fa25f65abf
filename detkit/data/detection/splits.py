"""COCO json divided by images: into train, val and test, or to those that are named."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from detkit.data.detection.annotations import SPLITS
from detkit.data.images.duplicates import find_identical_files
from detkit.data.loading.assign_splits import assign_splits, map_duplicates
from detkit.errors import DataError


def split_dataset(clean: Mapping[str, Any], image_dir: Path,
                  seed: int) -> dict[str, dict[str, Any]]:
    """Divide cleaned COCO json into train, val and test: 80, 10 and 10 % of the images.

    The split of an image depends on the seed and the file names alone; images with the same
    bytes are in one split. Ids are renumbered from 1.

    Returns:
        COCO json by split; of two different images, val and test are the same object.

    Raises:
        DataError: there are not two different images.
    """
    names = [image["file_name"] for image in clean["images"]]
    name_of = {image_dir / name: name for name in names}
    duplicate_of = map_duplicates(name_of, find_identical_files(name_of))
    split_of = assign_splits([name for name in names if name not in duplicate_of], seed)
    if len(split_of) < 2:
        raise DataError(f"{image_dir}: {len(names)} image(s), too few for a train and a val split",
                        expected="at least 2 different images")
    names_by_split: dict[str, set[str]] = {split: set() for split in SPLITS}
    for name in names:
        names_by_split[split_of[duplicate_of.get(name, name)]].add(name)
    splits = {split: select_images(clean, selected)
              for split, selected in names_by_split.items()}
    if not names_by_split["test"]:
        splits["test"] = splits["val"]
    return splits


def select_images(clean: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The images called ``names`` and their annotations; ids are renumbered from 1."""
    images = [image for image in clean["images"] if image["file_name"] in names]
    new_ids = {image["id"]: index for index, image in enumerate(images, start=1)}
    boxes = [box for box in clean["annotations"] if box["image_id"] in new_ids]
    return {
        "images": [{**image, "id": new_ids[image["id"]]} for image in images],
        "annotations": [{**box, "id": index, "image_id": new_ids[box["image_id"]]}
                        for index, box in enumerate(boxes, start=1)],
        "categories": clean["categories"],
    }
