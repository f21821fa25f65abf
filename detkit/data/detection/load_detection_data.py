"""``--data PATH``: a folder becomes checked COCO splits, or an error that says why not."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.data.detection.annotation_check import clean_split
from detkit.data.detection.annotations import RawSplit
from detkit.data.detection.categories import resolve_categories
from detkit.data.detection.cross_split_checks import (
    check_across_splits,
    note_unlisted_images,
    note_unused_folders,
)
from detkit.data.detection.options import DataOptions
from detkit.data.detection.probed_split import probe_split
from detkit.data.detection.splits import SPLIT_RATIOS, fallback_split, split_dataset
from detkit.data.detection.usable_objects import resolve_difficult
from detkit.data.formats.box_format import resolve_box_format
from detkit.data.formats.coco.coco_folder import read_coco_split
from detkit.data.formats.format_detection import detect_format
from detkit.data.formats.id_matching import match_ids
from detkit.data.formats.run_dirs import describe_run_dirs
from detkit.data.formats.voc.voc_folder import read_voc_folder
from detkit.data.images.image_folder import ImageFolder, note_name_variants, unify_file_names
from detkit.data.images.orientation import resolve_orientations
from detkit.data.images.outside_files import ensure_inside, note_outside_images
from detkit.data.images.thin_images import ResizeStep, drop_thin_images
from detkit.data.report.ledger import LOGGER, Ledger, SplitCount, write_json
from detkit.errors import DataError

SAMPLE = "sample"


@dataclass(frozen=True)
class DataSplit:
    """One split that is ready to use.

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


@dataclass(frozen=True)
class DetectionData:
    """A detection data set that was checked.

    Args:
        root: the folder that was named, or that the built-in sample lies in.
        format: coco, voc or sample.
        classes: in the order of their labels from 0.
        splits: 'train', 'val' and 'test'; 'train' is missing only when it was not asked for.
        ledger: what was found and what was done about it.
    """

    root: Path
    format: str
    classes: tuple[str, ...]
    splits: dict[str, DataSplit]
    ledger: Ledger


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
    """Look at a data set, check it, write cleaned COCO json and the ledger, log a summary.

    Nothing is written below ``path``; json goes to ``work_dir/data``, or to
    ``work_dir/data_<hash>`` when that holds another data set's.

    Args:
        path: a COCO or Pascal VOC folder, or 'sample' for the built-in set.
        seed: of the splits, where the folder has none, and of the sample.
        classes: the classes to map names to, in order, such as a checkpoint's; None for the
            folder's own.
        require_train: False to accept a folder that has only images to measure on.
        resizes: by split the resizing steps of the pipeline that will read it; an image that
            they would leave nothing of is left out. None to keep such images.
        options: what the user says of its boxes.

    Raises:
        DataError: the data cannot be used; the ledger is written first where there is one.
    """
    work_dir = Path(work_dir)
    root, data_format = _resolve_root(path, seed)
    layout = detect_format(root, exclude=work_dir)
    data_format = data_format or layout.format
    ledger = Ledger(str(root))
    LOGGER.info("data: %s is read as %s", root, data_format)
    if layout.ignored and data_format != SAMPLE:
        more = f" and {len(layout.ignored) - 5} more" if len(layout.ignored) > 5 else ""
        ledger.notes.append("not read: " + ", ".join(
            str(file.relative_to(root)) for file in layout.ignored[:5]) + more)
    ledger.notes += describe_run_dirs(layout.run_dirs, root)
    raw_splits: dict[str, tuple[RawSplit, ImageFolder]]
    if layout.format == "voc":
        raw_splits = read_voc_folder(root, layout.xml_folders, ledger)
    else:
        raw_splits = {
            name: read_coco_split(root, name, file)
            for name, file in layout.splits.items()
        }
    if require_train and not {"train", "all"} & set(raw_splits):
        raise DataError(f"{root}: no train split, only {' and '.join(raw_splits)}",
                        hint="name a folder whose annotations have a train split, or no splits")
    for raw, folder in raw_splits.values():
        match_ids(raw, ledger)
        unify_file_names(raw.images, folder)
        names = sorted(folder.found_paths)
        if not options.allow_outside:
            ensure_inside(names, folder.folder, [root], str(raw.source))
        note_outside_images(names, folder.folder, [root], str(raw.source), ledger)
    table = resolve_categories({name: raw
                                for name, (raw, _) in raw_splits.items()}, ledger, classes,
                               alphabetical=layout.format == "voc")
    declared_counts = table.count_boxes(raw for raw, _ in raw_splits.values())
    probed = {name: probe_split(raw, folder, ledger) for name, (raw, folder) in raw_splits.items()}
    formats_resolved = resolve_box_format(list(probed.values()), options.box_format, ledger)
    orientations = resolve_orientations(list(probed.values()) if formats_resolved else [], ledger)
    clean = {}
    for name, split in probed.items() if formats_resolved else ():
        clean[name] = clean_split(split, table, orientations, ledger,
                                  options.empty_box_is_background)
        split.raw.annotations.clear()  # of a large set, half the memory
        split.by_image.clear()
        note_name_variants(raw_splits[name][1], split.raw.source.name, ledger)
    image_dirs = {name: folder.folder for name, (_, folder) in raw_splits.items()}
    folders = [folder for _, folder in raw_splits.values()]
    note_unlisted_images(folders, ledger)
    note_unused_folders(folders, layout.images, root, ledger)
    out = data_output_dir(work_dir, root)
    if not ledger.errors:
        clean = _complete_splits(clean, image_dirs, seed, ledger)
        resolve_difficult(clean, options.train_difficult, layout.format == "voc", ledger)
        clean = drop_thin_images(clean, image_dirs, resizes or {}, ledger)
        check_across_splits(clean, image_dirs, table.names, ledger, declared_counts)
    ledger.write(out / "ledger.json")
    ledger.log(out / "ledger.json")
    ledger.raise_errors(hint=f"all findings stand in {out / 'ledger.json'}")
    splits = _write_splits(clean, image_dirs, out)
    return DetectionData(root, data_format, table.names, splits, ledger)


def _resolve_root(path: str | Path, seed: int) -> tuple[Path, str | None]:
    """The folder, and its format where that is known without looking."""
    if str(path) == SAMPLE:
        if Path(SAMPLE).is_dir():
            LOGGER.warning("data: the built-in sample is meant; for the folder here say ./%s",
                           SAMPLE)
        from detkit.data.synthetic.sample import ensure_sample

        return ensure_sample(seed).resolve(), SAMPLE
    root = Path(path).expanduser()
    # os.path answers no, where Path raises, for names too long for a file system.
    if not str(path) or not os.path.exists(root):
        raise DataError(f"'{path}': no such folder", expected="a COCO or Pascal VOC folder, "
                        f"or '{SAMPLE}' for the built-in set")
    if not root.is_dir():
        raise DataError(f"'{path}': a file", expected="the folder of a data set",
                        hint=f"name the folder, such as {root.parent}")
    return root.resolve(), None


def _complete_splits(
    clean: Mapping[str, dict[str, Any]], image_dirs: dict[str, Path], seed: int, ledger: Ledger
) -> dict[str, dict[str, Any]]:
    """Train, val and test, where all are to be had from what is there."""
    splits = dict(clean)
    if set(splits) in ({"all"}, {"train"}):
        (only_name,) = splits
        problem = "has no splits" if only_name == "all" else "has only a train split"
        combined, count = splits.pop(only_name), ledger.splits.pop(only_name)
        splits = split_dataset(combined, image_dirs[only_name], seed)
        for name, content in splits.items():
            image_dirs[name] = image_dirs[only_name]
            ledger.splits[name] = SplitCount(len(content["images"]), 0, len(content["annotations"]),
                                             0)
        # What was left out belongs to no part; it is told with the part that most goes to.
        ledger.splits["train"].images_left_out = count.images_left_out
        ledger.splits["train"].boxes_left_out = count.boxes_left_out
        identical = splits["val"]["images"] == splits["test"]["images"]
        ledger.notes.append(
            f"the folder {problem}: divided by seed {seed} into " +
            ", ".join(f"{name} {len(content['images'])}" for name, content in splits.items()) +
            " images" + (", val and test being the same" if identical else "") +
            f" ({SPLIT_RATIOS['val']:.0%} val, {SPLIT_RATIOS['test']:.0%} test; byte-identical images on "
            "one side)")
        return splits
    return fallback_split(splits, image_dirs, ledger)


def data_output_dir(work_dir: Path, root: Path) -> Path:
    """Where this data set's json goes: a folder that no other data set's json is in."""
    first = work_dir / "data"
    try:
        source = json.loads((first / "ledger.json").read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError):
        source = None if first.is_dir() and any(first.iterdir()) else str(root)
    if source == str(root):
        return first
    return work_dir / f"data_{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}"


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
