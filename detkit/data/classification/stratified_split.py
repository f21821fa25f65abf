"""Train, val and test for labeled images that have no splits: divided class by class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from detkit.data.classification.image_label import ImageLabel
from detkit.data.detection.annotations import SPLITS
from detkit.data.loading.assign_splits import MIN_FOR_THREE_SPLITS, assign_splits, map_duplicates
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger


def stratified_split(
    records: Sequence[ImageLabel], image_dir: Path, identical: Sequence[Sequence[Path]], seed: int,
    ledger: Ledger,
) -> dict[str, list[ImageLabel]]:
    """Divide labeled images into train, val and test: of each class 80, 10 and 10 %.

    The split of an image depends on the seed and the paths of its class alone. Images with the
    same bytes are in one split, and count for the class of the first one. A class of three or
    more images has at least one in val and one in test; of two, one is in train and one in val;
    a single one is in train.

    Args:
        records: may be empty.
        image_dir: the folder that their paths start from.
        identical: groups of files with the same bytes.
        ledger: receives the classes with fewer than three different images.

    Returns:
        Records by split, in the given order.
    """
    name_of = {Path(os.path.normpath(image_dir / record.path)): record.path
               for record in records} if identical else {}
    duplicate_of = map_duplicates(name_of, identical)
    paths_by_class: dict[str, list[str]] = {}
    for record in records:
        if record.path not in duplicate_of:
            paths_by_class.setdefault(record.label, []).append(record.path)
    split_of: dict[str, str] = {}
    for label, paths in paths_by_class.items():
        split_of.update(assign_splits(paths, seed))
        if len(paths) < MIN_FOR_THREE_SPLITS:
            ledger.add("few_images_of_class", f"the class '{label}' has {len(paths)} different "
                       "image(s), too few for train, val and test: "
                       + ("none is in test" if len(paths) > 1 else "it is not evaluated"), "kept")
    labels_by_split: dict[str, list[ImageLabel]] = {split: [] for split in SPLITS}
    for record in records:
        labels_by_split[split_of[duplicate_of.get(record.path, record.path)]].append(record)
    if records and not labels_by_split["val"]:
        ledger.add("too_few_images", "no class has two different images: none is left for val; "
                   "add images, or a val folder", ERROR)
    return labels_by_split
