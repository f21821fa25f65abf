"""Load a classification data set: from the path in ``--data`` to checked lists of images."""

from __future__ import annotations

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
from detkit.data.classification.stratified_split import stratified_split
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.detection.options import DATA_OPTIONS_KEY, DataOptions
from detkit.data.formats.class_csv import read_class_csv
from detkit.data.formats.class_folder import is_image_file, read_split_folders, walk_files
from detkit.data.formats.class_format_detection import (
    SUPPORTED_FORMATS,
    detect_classification_format,
)
from detkit.data.formats.format_detection import DatasetFormat
from detkit.data.loading.assign_splits import complete_splits
from detkit.data.loading.data_source import (
    SAMPLE,
    LoadedData,
    data_output_dir,
    ensure_train_split,
    finish_ledger,
    resolve_root,
    start_ledger,
)
from detkit.data.report.ledger import LOGGER, Ledger, SplitCount
from detkit.errors import DataError


@dataclass(frozen=True)
class ClassificationSplit:
    """One split of a loaded classification data set.

    Args:
        annotation_file: csv with the columns path and label (the class name); for crops also x1,
            y1, x2 and y2, in pixels of the upright image.
        image_dir: the folder that its paths start from.
        counts: images, or crops, of each class in the order of the labels.
        image_count: their sum, at least 1.
    """

    annotation_file: Path
    image_dir: Path
    counts: tuple[int, ...]
    image_count: int


class ClassificationData(LoadedData[ClassificationSplit]):
    """A checked classification data set of two or more classes; its format is 'folder', 'csv' or
    'crops'."""


def load_classification_data(
    path: str | Path,
    work_dir: Path,
    *,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    require_train: bool = True,
    options: DataOptions = DataOptions(),
) -> ClassificationData:
    """Load and check labeled images, write lists of them and the ledger, log a summary.

    Nothing is written below ``path``; the files go to ``work_dir/data``, or to
    ``work_dir/data_<hash>`` where that belongs to another data set.

    Args:
        path: a folder of class folders (with or without split folders), a csv file with the
            columns path and label or a folder of such files, a COCO or Pascal VOC folder whose
            boxes are cropped, or 'sample' for the boxes of the built-in data set.
        work_dir: the folder for the output; not read as data where it is below ``path``.
        seed: for dividing data without splits, and of the sample.
        classes: expected class names in order, such as a checkpoint's; None for the sorted names
            of the data (for a detection data set, its own order).
        require_train: whether a train split must be there; False for evaluation.
        options: how to interpret the annotations of a detection data set.

    Raises:
        DataError: the data cannot be used; the ledger is written first where there is one.
    """
    work_dir = Path(work_dir)
    if str(path) == SAMPLE:
        return _load_crops(SAMPLE, work_dir, seed, classes, require_train, options)
    root = resolve_root(path, SUPPORTED_FORMATS, seed, allow_file=True)
    layout = detect_classification_format(root, work_dir.resolve())
    if layout.format == "crops":
        return _load_crops(root, work_dir, seed, classes, require_train, options)
    if options != DataOptions():
        raise DataError(f"{root}: {DATA_OPTIONS_KEY} applies to data sets with boxes; this one has "
                        "none", hint=f"remove {DATA_OPTIONS_KEY}")
    ledger = start_ledger(layout, root, layout.format, unit="images")
    raw_splits = _read_splits(layout, work_dir.resolve(), root if root.is_dir() else root.parent,
                              ledger)
    # Without any split, every line of a csv was an error, which the ledger reports.
    if require_train and raw_splits:
        ensure_train_split(raw_splits, root,
                           "use a folder that has a train folder, or no split folders")
    names, class_map = resolve_class_names(raw_splits, ledger, classes)
    if layout.format == "folder":
        check_empty_classes(raw_splits, require_train and classes is None, ledger)
    labels_by_split: dict[str, list[ImageLabel]] = {}
    for name, raw in raw_splits.items():
        labels_by_split[name] = check_images(raw, class_map, ledger)
        raw.records.clear()  # in a large data set, half of the memory
    image_dirs = {name: raw.image_dir for name, raw in raw_splits.items()}
    if not ledger.errors:
        duplicates = check_duplicates(labels_by_split, image_dirs, ledger)
        labels_by_split = complete_splits(
            labels_by_split, image_dirs, ledger, seed,
            lambda labels, image_dir: stratified_split(labels, image_dir, duplicates, seed, ledger),
            lambda labels: SplitCount(len(labels)), stratified=True)
        check_class_counts(labels_by_split, names, ledger, strict=require_train,
                           classes_fixed=classes is not None)
    output_dir = data_output_dir(work_dir, root)
    finish_ledger(ledger, output_dir)
    splits = _write_splits(labels_by_split, image_dirs, output_dir, ledger)
    return ClassificationData(root, layout.format, names, splits, ledger)


def _read_splits(
    layout: DatasetFormat, exclude: Path, allowed_dir: Path, ledger: Ledger
) -> dict[str, RawClassificationSplit]:
    for folder in layout.unassigned_folders:
        num_images = sum(map(is_image_file, walk_files(folder)))
        ledger.add(
            "folder_of_no_split", f"its {num_images} images belong to no split: the folders beside "
            "it are read as splits", "left out", file=str(folder))
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
    output_dir = next(iter(data.splits.values())).annotation_file.parent
    ledger = Ledger(str(data.root), splits=dict(data.ledger.splits), unit="crops")
    labels_by_split = read_crops(data, ledger)
    if require_train and len(data.classes) > 1:
        check_train_classes(labels_by_split["train"], ledger)
    check_class_counts(labels_by_split, data.classes, ledger, strict=False, classes_fixed=True)
    reported = {(issue.code, _first_quoted(issue.message)) for issue in data.ledger.issues}
    ledger.remove(lambda issue: issue.image is None and
                  (issue.code, _first_quoted(issue.message)) in reported)
    finish_ledger(ledger, output_dir, earlier=data.ledger)
    image_dirs = {name: split.image_dir for name, split in data.splits.items()}
    splits = _write_splits(labels_by_split, image_dirs, output_dir, ledger)
    return ClassificationData(data.root, "crops", data.classes, splits, ledger)


def _first_quoted(text: str) -> str:
    """The first text in quotation marks: in an issue about a class, its name."""
    return text.split("'")[1] if "'" in text else ""


def _write_splits(
    labels_by_split: Mapping[str, list[ImageLabel]], image_dirs: Mapping[str, Path],
    output_dir: Path, ledger: Ledger,
) -> dict[str, ClassificationSplit]:
    splits = {}
    for name, records in labels_by_split.items():
        file = output_dir / f"{name}.csv"
        write_image_labels(file, records, boxes=ledger.unit == "crops")
        counts = tuple(ledger.per_class[name].values())
        splits[name] = ClassificationSplit(file.resolve(), image_dirs[name], counts, len(records))
    return splits
