"""``--data PATH`` of a classifier: labelled pictures become checked lists, or an error."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detkit.data.classification.class_names import resolve_class_names
from detkit.data.classification.crops import read_crops
from detkit.data.classification.image_label import ImageLabel, RawClassificationSplit
from detkit.data.classification.label_check import (
    check_class_counts,
    check_duplicates,
    check_empty_classes,
    check_images,
    check_train_classes,
)
from detkit.data.classification.label_csv import write_image_labels
from detkit.data.classification.stratified_split import complete_splits
from detkit.data.detection.load_detection_data import SAMPLE, data_output_dir, load_detection_data
from detkit.data.detection.options import DATA_OPTIONS_KEY, DataOptions
from detkit.data.formats.class_csv import read_class_csv
from detkit.data.formats.class_folder import is_image_file, read_split_folders, walk_files
from detkit.data.formats.class_format_detection import (
    SUPPORTED_FORMATS,
    ClassificationFormat,
    detect_classification_format,
)
from detkit.data.formats.run_dirs import describe_run_dirs
from detkit.data.report.classification_ledger import ClassificationLedger
from detkit.data.report.ledger import LOGGER
from detkit.errors import DataError


@dataclass(frozen=True)
class ClassificationSplit:
    """One split that is ready to use.

    Args:
        annotation_file: csv with the columns path and label (the class's name); of crops x1, y1, x2
            and y2 too, in pixels of the upright picture.
        image_dir: the folder that its paths start from.
        counts: images, or crops, of each class in the order of the labels.
        image_count: their sum, at least 1.
    """

    annotation_file: Path
    image_dir: Path
    counts: tuple[int, ...]
    image_count: int


@dataclass(frozen=True)
class ClassificationData:
    """A set of labelled pictures that was checked.

    Args:
        root: the folder or csv file that was named, or that the built-in sample lies in.
        format: folder, csv or crops.
        classes: in the order of their labels from 0; at least two.
        splits: 'train', 'val' and 'test'; 'train' is missing only when it was not asked for.
        ledger: what was found and what was done about it.
    """

    root: Path
    format: str
    classes: tuple[str, ...]
    splits: dict[str, ClassificationSplit]
    ledger: ClassificationLedger


def load_classification_data(
    path: str | Path,
    work_dir: Path,
    *,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    require_train: bool = True,
    options: DataOptions = DataOptions(),
) -> ClassificationData:
    """Look at labelled pictures, check them, write list files and the ledger, log a summary.

    Nothing is written below ``path``; lists go to ``work_dir/data``, or to
    ``work_dir/data_<hash>`` when that holds another data set's.

    Args:
        path: a folder of class folders (with or without split folders), a csv file with the
            columns path and label or a folder of such, a COCO or Pascal VOC folder whose boxes
            are cut out, or 'sample' for the boxes of the built-in set.
        seed: of the splits, where there are none, and of the sample.
        classes: the classes to map names to, in order, such as a checkpoint's; None for the
            sorted names of the data (of a detection set, its own order).
        require_train: False to accept a set that has only images to measure on.
        options: what the user says of the boxes of a detection set.

    Raises:
        DataError: the data cannot be used; the ledger is written first where there is one.
    """
    work_dir = Path(work_dir)
    if str(path) == SAMPLE:
        return _load_crops(SAMPLE, work_dir, seed, classes, require_train, options)
    root = Path(path).expanduser()
    # os.path answers no, where Path raises, for names too long for a file system.
    if not str(path) or not os.path.exists(root):
        raise DataError(f"'{path}': no such file or folder",
                        expected=f"{SUPPORTED_FORMATS}, or '{SAMPLE}' for the built-in set")
    root = root.resolve()
    layout = detect_classification_format(root, work_dir.resolve())
    if layout.format == "crops":
        return _load_crops(root, work_dir, seed, classes, require_train, options)
    if options != DataOptions():
        raise DataError(f"{root}: {DATA_OPTIONS_KEY} is for sets of boxes, and this one has none",
                        hint=f"remove {DATA_OPTIONS_KEY}")
    ledger = ClassificationLedger(str(root))
    LOGGER.info("data: %s is read as %s", root, layout.format)
    raw_splits = _read_splits(layout, work_dir.resolve(), root if root.is_dir() else root.parent,
                              ledger)
    # Without any split all lines of a csv were refused, which the ledger says.
    if require_train and raw_splits and not {"train", "all"} & set(raw_splits):
        raise DataError(f"{root}: no train split, only {' and '.join(raw_splits)}",
                        hint="name a folder that has a train folder, or no split folders")
    names, class_map = resolve_class_names(raw_splits, ledger, classes)
    if layout.format == "folder":
        check_empty_classes(raw_splits, require_train and classes is None, ledger)
    labels_by_split: dict[str, list[ImageLabel]] = {}
    for name, raw in raw_splits.items():
        labels_by_split[name] = check_images(raw, class_map, ledger)
        raw.records.clear()  # of a large set, half the memory
    image_dirs = {name: raw.image_dir for name, raw in raw_splits.items()}
    if not ledger.errors:
        duplicates = check_duplicates(labels_by_split, image_dirs, ledger)
        labels_by_split = complete_splits(labels_by_split, image_dirs, duplicates, seed, ledger)
        check_class_counts(labels_by_split, names, ledger, strict=require_train,
                           classes_fixed=classes is not None)
    output_dir = data_output_dir(work_dir, root)
    ledger.log(output_dir / "ledger.json")
    return _finalize(ClassificationData(root, layout.format, names, {}, ledger), labels_by_split,
                     image_dirs, output_dir)


def _read_splits(
    layout: ClassificationFormat, exclude: Path, allowed_dir: Path, ledger: ClassificationLedger
) -> dict[str, RawClassificationSplit]:
    if layout.ignored:
        more = f" and {len(layout.ignored) - 5} more" if len(layout.ignored) > 5 else ""
        ledger.notes.append("not read: " + ", ".join(
            file.name for file in layout.ignored[:5]) + more)
    ledger.notes += describe_run_dirs(layout.run_dirs, layout.root)
    for folder in layout.unassigned_folders:
        num_images = sum(map(is_image_file, walk_files(folder)))
        ledger.add(
            "folder_of_no_split", f"its {num_images} images are in no split: the folders beside "
            "it are taken for the splits", "left out", file=str(folder))
    if layout.format == "csv":
        return read_class_csv(layout.splits, ledger, allowed_dir)
    return read_split_folders(layout.splits, ledger, exclude)


def _load_crops(
    path: str | Path, work_dir: Path, seed: int, classes: Sequence[str] | None, require_train: bool,
    options: DataOptions,
) -> ClassificationData:
    data = load_detection_data(path, work_dir, seed=seed, classes=classes,
                               require_train=require_train, options=options)
    LOGGER.info("data: the boxes of %s are read as crops", data.root)
    first = next(iter(data.splits.values()))
    ledger = ClassificationLedger(str(data.root), splits=dict(data.ledger.splits), unit="crops")
    labels_by_split = read_crops(data, ledger)
    if require_train and len(data.classes) > 1:
        check_train_classes(labels_by_split["train"], ledger)
    check_class_counts(labels_by_split, data.classes, ledger, strict=False, classes_fixed=True)
    reported = {(issue.code, _first_quoted(issue.message)) for issue in data.ledger.issues}
    ledger.remove(lambda issue: issue.image is None and
                  (issue.code, _first_quoted(issue.message)) in reported)
    ledger.log()
    # What the detection set's own check found was logged by it, and stands in the same file.
    ledger.prepend(data.ledger)
    image_dirs = {name: split.image_dir for name, split in data.splits.items()}
    return _finalize(ClassificationData(data.root, "crops", data.classes, {}, ledger),
                     labels_by_split, image_dirs, first.annotation_file.parent)


def _first_quoted(text: str) -> str:
    """What stands first in quotation marks: of a finding about a class, its name."""
    return text.split("'")[1] if "'" in text else ""


def _finalize(data: ClassificationData, labels_by_split: Mapping[str, list[ImageLabel]],
              image_dirs: Mapping[str, Path], output_dir: Path,
              ) -> ClassificationData:
    """Write the ledger, stop at what is refused, write the lists."""
    ledger = data.ledger
    ledger.write(output_dir / "ledger.json")
    ledger.raise_errors(hint=f"all findings stand in {output_dir / 'ledger.json'}")
    for name, records in labels_by_split.items():
        file = output_dir / f"{name}.csv"
        write_image_labels(file, records, boxes=data.format == "crops")
        counts = tuple(ledger.per_class[name].values())
        data.splits[name] = ClassificationSplit(file.resolve(), image_dirs[name], counts,
                                                len(records))
    return data
