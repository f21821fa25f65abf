"""Load a detection data set: from the path in ``--data`` to checked COCO splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.data.detection.annotation_check import clean_split
from detkit.data.detection.annotations import RawSplit
from detkit.data.detection.categories import CategoryMap, resolve_categories
from detkit.data.detection.cross_split_checks import (
    check_across_splits,
    note_unlisted_images,
    note_unused_folders,
)
from detkit.data.detection.options import DataOptions
from detkit.data.detection.probed_split import probe_split
from detkit.data.detection.splits import split_dataset
from detkit.data.detection.usable_objects import resolve_difficult
from detkit.data.formats.box_format import resolve_box_format
from detkit.data.formats.coco.coco_folder import read_coco_split
from detkit.data.formats.format_detection import DatasetFormat, detect_format
from detkit.data.formats.id_matching import match_ids
from detkit.data.formats.voc.voc_folder import read_voc_folder
from detkit.data.images.box_orientation import resolve_orientations
from detkit.data.images.image_folder import ImageFolder, note_name_variants, unify_file_names
from detkit.data.images.outside_files import ensure_inside, note_outside_images
from detkit.data.images.thin_images import ResizeStep, drop_thin_images
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
from detkit.data.report.ledger import Ledger, SplitCount, write_json


@dataclass(frozen=True)
class DataSplit:
    """One split of a loaded detection data set.

    Args:
        annotation_file: cleaned COCO json; image and annotation ids from 1, category ids 1 to K
            in the order of the classes.
        image_dir: the folder that its file names start from.
        image_count: at least 1.
        box_count: at least 1.
    """

    annotation_file: Path
    image_dir: Path
    image_count: int
    box_count: int


class DetectionData(LoadedData[DataSplit]):
    """A checked detection data set; its format is 'coco', 'voc' or 'sample'."""


def load_detection_data(
    path: str | Path,
    work_dir: Path,
    *,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    require_train: bool = True,
    resizes: Mapping[str, Sequence[ResizeStep]] | None = None,
    options: DataOptions = DataOptions(),
) -> DetectionData:
    """Load and check a data set, write cleaned COCO json and the ledger, log a summary.

    Nothing is written below ``path``; the files go to ``work_dir/data``, or to
    ``work_dir/data_<hash>`` where that belongs to another data set.

    Args:
        path: a COCO or Pascal VOC folder, or 'sample' for the built-in data set.
        work_dir: the folder for the output; not read as data where it is below ``path``.
        seed: for dividing data without splits, and of the sample.
        classes: expected class names in order, such as a checkpoint's; None for the data's own.
        require_train: whether a train split must be there; False for evaluation.
        resizes: resize steps of the pipeline that will read each split; an image whose shorter
            side they would reduce below one pixel is left out. None to keep such images.
        options: how to interpret the annotations.

    Raises:
        DataError: the data cannot be used; the ledger is written first where there is one.
    """
    work_dir = Path(work_dir)
    root = resolve_root(path, "a COCO or Pascal VOC folder", seed)
    layout = detect_format(root, exclude=work_dir)
    format_name = SAMPLE if str(path) == SAMPLE else layout.format
    ledger = start_ledger(layout, root, format_name, unit="boxes")
    raw_splits = _read_splits(layout, ledger)
    if require_train:
        ensure_train_split(raw_splits, root, "use a data set with annotations of a train split, "
                           "or without splits")
    for raw, folder in raw_splits.values():
        _match_files(raw, folder, root, options, ledger)
    table = resolve_categories({name: raw for name, (raw, _) in raw_splits.items()}, ledger,
                               classes, alphabetical=layout.format == "voc")
    box_counts = table.count_boxes(raw for raw, _ in raw_splits.values())
    clean = _clean_splits(raw_splits, table, options, ledger)
    image_dirs = {name: folder.folder for name, (_, folder) in raw_splits.items()}
    folders = [folder for _, folder in raw_splits.values()]
    note_unlisted_images(folders, ledger)
    note_unused_folders(folders, layout.images, root, ledger)
    if not ledger.errors:
        clean = complete_splits(
            clean, image_dirs, ledger, seed,
            lambda content, image_dir: split_dataset(content, image_dir, seed),
            lambda content: SplitCount(len(content["images"]),
                                       boxes_used=len(content["annotations"])))
        resolve_difficult(clean, options.train_difficult, layout.format == "voc", ledger)
        clean = drop_thin_images(clean, image_dirs, resizes or {}, ledger)
        check_across_splits(clean, image_dirs, table.names, ledger, box_counts)
    output_dir = data_output_dir(work_dir, root)
    finish_ledger(ledger, output_dir)
    splits = _write_splits(clean, image_dirs, output_dir)
    return DetectionData(root, format_name, table.names, splits, ledger)


def _read_splits(layout: DatasetFormat, ledger: Ledger) -> dict[str, tuple[RawSplit, ImageFolder]]:
    if layout.format == "voc":
        return read_voc_folder(layout.root, layout.xml_folders, ledger)
    return {name: read_coco_split(layout.root, name, file)
            for name, file in layout.splits.items()}


def _match_files(
    raw: RawSplit, folder: ImageFolder, root: Path, options: DataOptions, ledger: Ledger
) -> None:
    """Resolve the ids of a split and the names of its image files, which must lie in ``root``."""
    match_ids(raw, ledger)
    unify_file_names(raw.images, folder)
    names = sorted(folder.found_paths)
    if not options.allow_outside:
        ensure_inside(names, folder.folder, [root], str(raw.source))
    note_outside_images(names, folder.folder, [root], str(raw.source), ledger)


def _clean_splits(
    raw_splits: Mapping[str, tuple[RawSplit, ImageFolder]], table: CategoryMap,
    options: DataOptions, ledger: Ledger,
) -> dict[str, dict[str, Any]]:
    """Cleaned COCO json by split; empty where the box format is an error."""
    probed = {name: probe_split(raw, folder, ledger) for name, (raw, folder) in raw_splits.items()}
    if not resolve_box_format(list(probed.values()), options.box_format, ledger):
        return {}
    orientations = resolve_orientations(list(probed.values()), ledger)
    clean = {}
    for name, split in probed.items():
        clean[name] = clean_split(split, table, orientations, ledger,
                                  options.empty_box_is_background)
        split.raw.annotations.clear()  # in a large data set, half of the memory
        split.by_image.clear()
        note_name_variants(raw_splits[name][1], split.raw.source.name, ledger)
    return clean


def _write_splits(
    clean: Mapping[str, dict[str, Any]], image_dirs: Mapping[str, Path], out: Path
) -> dict[str, DataSplit]:
    splits = {}
    for name, content in clean.items():
        file = out / f"{name}.json"
        write_json(file, {"info": {"description": "cleaned by detkit"}, **content})
        splits[name] = DataSplit(file.resolve(), image_dirs[name], len(content["images"]),
                                 len(content["annotations"]))
    return splits
