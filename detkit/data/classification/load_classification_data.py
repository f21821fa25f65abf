"""``--data PATH`` of a classifier: labelled pictures become checked lists, or an error."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detkit.data.classification.class_names import decide_class_names
from detkit.data.classification.crops import read_crops
from detkit.data.classification.image_label import ClassRecord, RawClassSplit
from detkit.data.classification.label_check import (
    check_counts,
    check_empty,
    check_identical,
    check_pictures,
    check_two_learnt,
)
from detkit.data.classification.list_file import write_class_list
from detkit.data.classification.stratified_split import complete_splits
from detkit.data.detection.load_detection_data import SAMPLE, open_data, own_folder
from detkit.data.detection.options import KEY, DataOptions
from detkit.data.formats.class_csv import read_class_csv
from detkit.data.formats.class_folder import files_below, is_picture, read_split_folders
from detkit.data.formats.class_format_detection import READS, ClassLayout, look_for_classes
from detkit.data.formats.run_folder import describe_runs
from detkit.data.report.class_ledger import ClassLedger
from detkit.data.report.ledger import LOGGER
from detkit.errors import DataError


@dataclass(frozen=True)
class ClassSplit:
    """One split that is ready to use.

    Args:
        list_file: csv with the columns path and label (the class's name); of crops x1, y1, x2
            and y2 too, in pixels of the upright picture.
        image_dir: the folder that its paths start from.
        counts: images, or crops, of each class in the order of the labels.
        image_count: their sum, at least 1.
    """

    list_file: Path
    image_dir: Path
    counts: tuple[int, ...]
    image_count: int


@dataclass(frozen=True)
class ClassData:
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
    splits: dict[str, ClassSplit]
    ledger: ClassLedger


def open_class_data(
    path: str | Path,
    work_dir: Path,
    *,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    need_train: bool = True,
    options: DataOptions = DataOptions(),
) -> ClassData:
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
        need_train: False to accept a set that has only images to measure on.
        options: what the user says of the boxes of a detection set.

    Raises:
        DataError: the data cannot be used; the ledger is written first where there is one.
    """
    work_dir = Path(work_dir)
    if str(path) == SAMPLE:
        return _open_crops(SAMPLE, work_dir, seed, classes, need_train, options)
    root = Path(path).expanduser()
    # os.path answers no, where Path raises, for names too long for a file system.
    if not str(path) or not os.path.exists(root):
        raise DataError(f"'{path}': no such file or folder",
                        expected=f"{READS}, or '{SAMPLE}' for the built-in set")
    root = root.resolve()
    layout = look_for_classes(root, work_dir.resolve())
    if layout.form == "crops":
        return _open_crops(root, work_dir, seed, classes, need_train, options)
    if options != DataOptions():
        raise DataError(f"{root}: {KEY} is for sets of boxes, and this one has none",
                        do=f"remove {KEY}")
    ledger = ClassLedger(str(root))
    LOGGER.info("data: %s is read as %s", root, layout.form)
    raws = _read(layout, work_dir.resolve(), root if root.is_dir() else root.parent, ledger)
    # Without any split all lines of a csv were refused, which the ledger says.
    if need_train and raws and not {"train", "all"} & set(raws):
        raise DataError(f"{root}: no train split, only {' and '.join(raws)}",
                        do="name a folder that has a train folder, or no split folders")
    names, spelling = decide_class_names(raws, ledger, classes)
    if layout.form == "folder":
        check_empty(raws, need_train and classes is None, ledger)
    parts: dict[str, list[ClassRecord]] = {}
    for name, raw in raws.items():
        parts[name] = check_pictures(raw, spelling, ledger)
        raw.records.clear()  # of a large set, half the memory
    image_dirs = {name: raw.image_dir for name, raw in raws.items()}
    if not ledger.refused:
        identical = check_identical(parts, image_dirs, ledger)
        parts = complete_splits(parts, image_dirs, identical, seed, ledger)
        check_counts(parts, names, ledger, refuse=need_train, known=classes is not None)
    out = own_folder(work_dir, root)
    ledger.log(out / "ledger.json")
    return _finish(ClassData(root, layout.form, names, {}, ledger), parts, image_dirs, out)


def _read(
    layout: ClassLayout, skip: Path, bound: Path, ledger: ClassLedger
) -> dict[str, RawClassSplit]:
    if layout.not_read:
        more = f" and {len(layout.not_read) - 5} more" if len(layout.not_read) > 5 else ""
        ledger.notes.append("not read: " + ", ".join(
            file.name for file in layout.not_read[:5]) + more)
    ledger.notes += describe_runs(layout.runs, layout.root)
    for folder in layout.passed_over:
        number = sum(map(is_picture, files_below(folder)))
        ledger.add("folder_of_no_split", f"its {number} images are in no split: the folders beside "
                   "it are taken for the splits", "left out", file=str(folder))
    if layout.form == "csv":
        return read_class_csv(layout.parts, ledger, bound)
    return read_split_folders(layout.parts, ledger, skip)


def _open_crops(
    path: str | Path, work_dir: Path, seed: int, classes: Sequence[str] | None, need_train: bool,
    options: DataOptions,
) -> ClassData:
    data = open_data(path, work_dir, seed=seed, classes=classes, need_train=need_train,
                     options=options)
    LOGGER.info("data: the boxes of %s are read as crops", data.root)
    first = next(iter(data.splits.values()))
    ledger = ClassLedger(str(data.root), splits=dict(data.ledger.splits), unit="crops")
    parts = read_crops(data, ledger)
    if need_train and len(data.classes) > 1:
        check_two_learnt(parts["train"], ledger)
    check_counts(parts, data.classes, ledger, refuse=False, known=True)
    told = {(fault.kind, _quoted(fault.what)) for fault in data.ledger.faults}
    ledger.drop(lambda fault: fault.image is None and (fault.kind, _quoted(fault.what)) in told)
    ledger.log()
    # What the detection set's own check found was logged by it, and stands in the same file.
    ledger.put_before(data.ledger)
    image_dirs = {name: split.image_dir for name, split in data.splits.items()}
    return _finish(ClassData(data.root, "crops", data.classes, {}, ledger), parts, image_dirs,
                   first.annotation_file.parent)


def _quoted(text: str) -> str:
    """What stands first in quotation marks: of a finding about a class, its name."""
    return text.split("'")[1] if "'" in text else ""


def _finish(
    data: ClassData, parts: Mapping[str, list[ClassRecord]], image_dirs: Mapping[str, Path],
    out: Path,
) -> ClassData:
    """Write the ledger, stop at what is refused, write the lists."""
    ledger = data.ledger
    ledger.write(out / "ledger.json")
    ledger.raise_refused(do=f"all findings stand in {out / 'ledger.json'}")
    for name, records in parts.items():
        file = out / f"{name}.csv"
        write_class_list(file, records, boxes=data.format == "crops")
        counts = tuple(ledger.per_class[name].values())
        data.splits[name] = ClassSplit(file.resolve(), image_dirs[name], counts, len(records))
    return data
