"""The data check: from a split as read from its files to a split that can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkit.data.detection.annotations import (
    ORIGINAL_NAME_KEY,
    PENDING_ISSUES_KEY,
    RawSplit,
    Record,
    record_source,
)
from detkit.data.detection.boxes import clean_boxes
from detkit.data.detection.categories import CategoryMap, is_valid_id, resolve_categories
from detkit.data.detection.probed_split import ProbedSplit, probe_split
from detkit.data.detection.usable_objects import check_usable_boxes
from detkit.data.formats.box_format import resolve_box_format
from detkit.data.formats.coco.coco_file import read_coco
from detkit.data.formats.id_matching import match_ids
from detkit.data.images.box_orientation import BoxOrientations, resolve_orientations
from detkit.data.images.image_folder import ImageFolder
from detkit.data.images.image_frame import is_empty_box, parse_box, resolve_image_size
from detkit.data.images.outside_files import find_outside_names
from detkit.data.images.thin_images import ResizeStep, check_thin_images
from detkit.data.report.class_aliases import normalize_name
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger, SplitCount

# Issues that load_detection_data corrects, but that mmdet's dataset would misread in the original
# file: a missing box, a rotated box, an unknown id.
MISREAD_BY_MMDET = frozenset(
    {"box_from_mask", "rotated_box", "exif_turned", "id_of_another_type", "not_a_box"})
EMPTY_BOX_HINT = ("; if an empty box means that the image has no objects, add --cfg-options "
                  "data_options.empty_box_is_background=True")
OTHER_CLASS_RESOLUTION = "left out, as the config names other classes"


def check_coco(
    annotation_file: str | Path, image_dir: str | Path, classes: Sequence[str] | None = None,
    resizes: Sequence[ResizeStep] = (), allow_other_classes: bool = False,
    box_format: str | None = None,
) -> Ledger:
    """Check a COCO file and its images for mmdet's dataset, which reads the file itself.

    Nothing is written or changed.

    Args:
        annotation_file: COCO json with boxes.
        image_dir: the folder that its file names are relative to.
        classes: the expected class names, in order; None for those of the file.
        resizes: resize steps of the pipeline; an image whose shorter side they would reduce below
            one pixel is an error.
        allow_other_classes: where the file has all of ``classes``, boxes of other classes are left
            out, as mmdet's datasets do, instead of an error.
        box_format: 'xywh' to accept boxes in this format though they fit another one better.

    Returns:
        The ledger. The resolution is 'found' for issues that mmdet's dataset skips, too; 'left
        out' for boxes of other classes; 'refused' for what it would misread, and for errors.

    Raises:
        DataError: the file is not a COCO annotation file.
    """
    raw = read_coco(Path(annotation_file), "data", Path(image_dir))
    ledger = Ledger(str(annotation_file))
    match_ids(raw, ledger)
    table = resolve_categories({raw.name: raw}, ledger, classes)
    if classes is not None:
        _check_class_order(raw, tuple(classes), ledger)
    folder = ImageFolder(Path(image_dir), exact=True)
    split = probe_split(raw, folder, ledger)
    base_dirs = [Path(image_dir), Path(annotation_file).parent]
    outside = find_outside_names(
        sorted(folder.found_paths), folder.folder,
        [path for base_dir in base_dirs for path in (base_dir.absolute(), base_dir.resolve())])
    for name, path in outside.items():
        ledger.add("image_outside", f"its path is {path}, outside of the image folder", "kept",
                   file=str(annotation_file), image=name, split=raw.name)
    forced_format = box_format if box_format == raw.box_format else None
    if resolve_box_format([split], forced_format, ledger, read_in_place=True):
        clean = clean_split(split, table, resolve_orientations([split], ledger), ledger)
        check_thin_images(clean, resizes, str(annotation_file), ledger)
    drops_other_classes = allow_other_classes and not ledger.count("missing_class")
    ledger.map_resolutions(
        lambda code, resolution: _resolution_for_mmdet(code, resolution, drops_other_classes))
    return ledger


def _resolution_for_mmdet(code: str, resolution: str, drops_other_classes: bool) -> str:
    """The resolution of an issue where mmdet's dataset reads the file itself."""
    if code == "unknown_class" and drops_other_classes:
        return OTHER_CLASS_RESOLUTION
    return ERROR if resolution == ERROR or code in MISREAD_BY_MMDET else "found"


def _check_class_order(raw: RawSplit, classes: tuple[str, ...], ledger: Ledger) -> None:
    """Check that the classes of a config are in the order of the file, as mmdet's labels are."""
    in_file = [name for record in raw.categories if isinstance(name := record.get("name"), str)]
    declared, expected = set(in_file), set(classes)
    by_normalized_name: dict[str, str] = {}
    for name in in_file:
        by_normalized_name.setdefault(normalize_name(name), name)
    location = {"file": str(raw.source), "split": raw.name}
    for name in classes:
        if name not in declared:
            other = by_normalized_name.get(normalize_name(name))
            hint = f", only {ascii(other)} where {ascii(name)} is expected" if other else ""
            ledger.add("missing_class", f"the file does not declare the class '{name}'{hint}",
                       ERROR, **location)
    order = tuple(name for name in in_file if name in expected)
    if len(order) == len(classes) and order != classes:
        first = next(index for index, pair in enumerate(zip(order, classes)) if pair[0] != pair[1])
        ledger.add("class_order", f"label {first} is '{order[first]}' in the file and "
                   f"'{classes[first]}' in the config's classes", ERROR, **location)


def clean_split(
    split: ProbedSplit, table: CategoryMap, orientations: BoxOrientations, ledger: Ledger,
    empty_is_background: bool | None = None,
) -> dict[str, Any]:
    """Check a split against its image files and keep what can be used.

    Args:
        split: its boxes in xywh, pixels.
        table: the label of each category id.
        orientations: the orientation of the boxes of each image.
        ledger: receives the issues and the counts.
        empty_is_background: whether an empty box marks an image without objects; None where the
            user has no such option.

    Returns:
        COCO json: image ids and annotation ids from 1, category ids 1 to K in the order of the
        classes; ``original_id`` in images and annotations is the id in the file. Images are in
        the order of the file; there may be none.
    """
    raw = split.raw
    count = ledger.splits.setdefault(raw.name, SplitCount())
    clean: dict[str, Any] = {"images": [], "annotations": [], "categories": [
        {"id": number, "name": name} for number, name in enumerate(table.names, start=1)]}
    boxes_before = len(raw.annotations)
    only_empty = 0
    for index in range(len(split.images)):
        if empty_is_background:
            _drop_empty(split, index, ledger)
        cleaned = _clean_image(split, index, table, orientations.box_orientation(raw.name, index),
                               ledger)
        if cleaned is None:
            count.images_left_out += 1
            records = split.by_image.get(index, [])
            only_empty += bool(records) and all(map(_is_empty_annotation, records))
            continue
        image, boxes = cleaned
        image["id"] = len(clean["images"]) + 1
        clean["images"].append(image)
        for box in boxes:
            clean["annotations"].append(
                {"id": len(clean["annotations"]) + 1, "image_id": image["id"], **box})
    count.images_used = len(clean["images"])
    count.boxes_used = len(clean["annotations"])
    count.boxes_left_out = boxes_before - count.boxes_used
    if raw.dropped_masks:
        ledger.notes.append(f"{raw.name}: the masks of {raw.dropped_masks} annotations are not "
                            "used, only their boxes")
    hint = EMPTY_BOX_HINT if only_empty and empty_is_background is not None else ""
    if hint:
        ledger.notes.append(f"{raw.name}: {only_empty} images are left out as their boxes are all "
                            f"empty{hint}")
    check_usable_boxes(raw, clean, count, ledger, only_empty, hint)
    return clean


def _is_empty_annotation(record: Record) -> bool:
    """Whether an annotation has no location: its box is empty and it has no mask."""
    return is_empty_box(record.get("bbox")) and PENDING_ISSUES_KEY not in record


def _drop_empty(split: ProbedSplit, index: int, ledger: Ledger) -> None:
    image = split.images[index]
    location = {
        "file": record_source(image, split.raw), "split": split.raw.name,
        "image": image["file_name"]
    }
    kept = []
    for record in split.by_image.get(index, []):
        if _is_empty_annotation(record):
            ledger.add("empty_box", f"its box is {record['bbox']}", "ignored, as set in "
                       "data_options", annotation=record.get("object", record.get("id")),
                       **location)
        else:
            kept.append(record)
    split.by_image[index] = kept


def _clean_image(
    split: ProbedSplit, index: int, table: CategoryMap, box_orientation: str, ledger: Ledger
) -> tuple[Record, list[Record]] | None:
    raw, record, info = split.raw, split.images[index], split.infos[index]
    name, records = split.files[index], split.by_image.get(index, [])
    location = {"file": record_source(record, raw), "image": record["file_name"], "split": raw.name}

    def report(code: str, message: str, resolution: str) -> None:
        ledger.add(code, message, resolution, **location)

    def report_box(box: Record, code: str, message: str, resolution: str) -> None:
        ledger.add(code, message, resolution, annotation=box.get("object", box.get("id")),
                   **location)

    left_out = f"left out with its {len(records)} boxes"
    if name is None or info is None:
        report("missing_image", f"there is no such file below {raw.image_dir}", left_out)
        return None
    if info.error is not None:
        report("unreadable_image", info.error, left_out)
        return None
    for note in info.notes:
        report(*note)
    boxes = [
        box for annotation in records if (box := parse_box(annotation.get("bbox"))) is not None
    ]
    frame = resolve_image_size(record, info, boxes, report, box_orientation)
    if frame is None:
        return None
    image = {key: value for key, value in record.items()
             if isinstance(value, (int, str)) and key != ORIGINAL_NAME_KEY}
    image.update(file_name=name, width=frame.width, height=frame.height,
                 original_id=record["id"])
    cat2label = table.cat2label[raw.name]
    kept = clean_boxes(records, frame, info.stored_wh, cat2label, report_box)
    if not kept:
        # Objects of classes that are not used are background.
        dropped = [
            annotation for annotation in records
            if not is_valid_id(key := annotation.get("category_id")) or cat2label.get(key) != -1
        ]
        if dropped:
            report(
                "image_without_usable_box",
                f"none of its {len(dropped)} boxes can be used: without boxes its objects would be "
                "trained as background", left_out)
            return None
        report(
            "image_without_boxes", "it has no annotation"
            if not records else f"its {len(records)} objects are of classes that are left out",
            "kept as background")
    return image, kept
