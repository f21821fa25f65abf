"""The data check: a split as its files give it in, a split that can be trained on out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkit.data.detection.annotations import NOTES, OWN_NAME, RawSplit, Record, source_of
from detkit.data.detection.boxes import clean_boxes
from detkit.data.detection.categories import ClassTable, decide_classes, is_id
from detkit.data.detection.learnable import refuse_unusable
from detkit.data.detection.probed_split import SurveyedSplit, survey_split
from detkit.data.formats.box_format import settle_format
from detkit.data.formats.coco.coco_file import read_coco
from detkit.data.formats.ids import match_ids
from detkit.data.images.exif import as_box, is_empty, settle_frame
from detkit.data.images.image_folder import ImageFolder
from detkit.data.images.orientation import Orientations, settle_orientations
from detkit.data.images.outside_files import outside_names
from detkit.data.images.thin_images import ResizeStep, refuse_thin
from detkit.data.report.class_aliases import tidy
from detkit.data.report.ledger import REFUSED, Ledger, SplitCount

# Faults that open_data mends, and that a loader of the file as it is takes for something else:
# a missing box, a turned box, an id that it finds nowhere.
MISREAD = frozenset({"box_from_mask", "rotated_box", "exif_turned", "id_of_another_type",
                     "not_a_box"})
EMPTY_IS_BACKGROUND = ("; if an empty box says that its image shows no object, add --cfg-options "
                       "data_options.empty_box_is_background=True")
OF_OTHER_CLASSES = "left out, as the config names other classes"


def check_coco(
    annotation_file: str | Path, image_dir: str | Path, classes: Sequence[str] | None = None,
    resizes: Sequence[ResizeStep] = (), allow_other_classes: bool = False,
    box_format: str | None = None,
) -> Ledger:
    """Check one COCO file and its images; nothing is written and nothing is changed.

    Args:
        annotation_file: COCO json with boxes.
        image_dir: the folder that its file names start from.
        classes: the classes that a config expects, in order; None to take the file's.
        resizes: the resizing steps of its pipeline; an image that they would leave nothing of
            is refused.
        allow_other_classes: where the file has all of ``classes``, boxes of its other classes
            are left out, as mmdet's datasets do it, instead of refused.
        box_format: 'xywh' to take the boxes so though they fit another reading better; any other
            is none that mmdet reads.

    Returns:
        The findings; what mmdet, which reads the file itself, passes over too says ``found``, and
        those whose boxes a dataset with these classes leaves out ``left out``; what it would take
        for something else, and what cannot be mended, ``refused``.

    Raises:
        DataError: the file cannot be read as COCO truth.
    """
    raw = read_coco(Path(annotation_file), "data", Path(image_dir))
    ledger = Ledger(str(annotation_file))
    match_ids(raw, ledger)
    table = decide_classes({raw.name: raw}, ledger, classes)
    if classes is not None:
        _check_class_order(raw, tuple(classes), ledger)
    folder = ImageFolder(Path(image_dir), exact=True)
    split = survey_split(raw, folder, ledger)
    beside = [Path(image_dir), Path(annotation_file).parent]
    outside = outside_names(sorted(folder.found), folder.folder,
                            [path for here in beside for path in (here.absolute(), here.resolve())])
    for name, path in outside.items():
        ledger.add("image_outside", f"it names {path}, which lies outside of its folder", "kept",
                   file=str(annotation_file), image=name, split=raw.name)
    insists = box_format if box_format == raw.box_format else None
    if settle_format([split], insists, ledger, read_as_it_is=True):
        clean = clean_split(split, table, settle_orientations([split], ledger), ledger)
        refuse_thin(clean, resizes, str(annotation_file), ledger)
    leaves_out = allow_other_classes and not ledger.count("missing_class")
    ledger.reword(lambda kind, action: _action_for_mmdet(kind, action, leaves_out))
    return ledger


def _action_for_mmdet(kind: str, action: str, leaves_out_other_classes: bool) -> str:
    """What becomes of a fault where mmdet reads the file by itself."""
    if kind == "unknown_class" and leaves_out_other_classes:
        return OF_OTHER_CLASSES
    return REFUSED if action == REFUSED or kind in MISREAD else "found"


def _check_class_order(raw: RawSplit, classes: tuple[str, ...], ledger: Ledger) -> None:
    """mmdet numbers labels in the order of the file, whatever order a config gives."""
    in_file = [name for record in raw.categories if isinstance(name := record.get("name"), str)]
    declared, wanted = set(in_file), set(classes)
    alike: dict[str, str] = {}
    for name in in_file:
        alike.setdefault(tidy(name), name)
    place = {"file": str(raw.source), "split": raw.name}
    for name in classes:
        if name not in declared:
            other = alike.get(tidy(name))
            hint = f", only {ascii(other)}, where this is {ascii(name)}" if other else ""
            ledger.add("missing_class", f"the file does not declare the class '{name}'{hint}",
                       REFUSED, **place)
    order = tuple(name for name in in_file if name in wanted)
    if len(order) == len(classes) and order != classes:
        first = next(at for at, pair in enumerate(zip(order, classes)) if pair[0] != pair[1])
        ledger.add("class_order", f"label {first} is '{order[first]}' in the file and "
                   f"'{classes[first]}' in the config's classes", REFUSED, **place)


def clean_split(
    split: SurveyedSplit, table: ClassTable, ways: Orientations, ledger: Ledger,
    empty_is_background: bool | None = None,
) -> dict[str, Any]:
    """Check one split against its image files and keep what can be used.

    Args:
        split: its boxes in xywh, pixels.
        ways: of each image, which way up its boxes were drawn.
        empty_is_background: whether an annotation with an empty box is none; None where the user
            cannot say so.

    Returns:
        COCO json: image ids and annotation ids from 1, category ids 1 to K in the order of the
        classes; ``original_id`` in images and annotations is the id that they had. Its images
        keep the order of the file, and may be none.
    """
    raw = split.raw
    count = ledger.splits.setdefault(raw.name, SplitCount())
    clean: dict[str, Any] = {"images": [], "annotations": [], "categories": [
        {"id": number, "name": name} for number, name in enumerate(table.names, start=1)]}
    boxes_before = len(raw.annotations)
    only_empty = 0
    for at in range(len(split.images)):
        if empty_is_background:
            _drop_empty(split, at, ledger)
        done = _clean_image(split, at, table, ways.way(raw.name, at), ledger)
        if done is None:
            count.images_left_out += 1
            records = split.by_image.get(at, [])
            only_empty += bool(records) and all(map(_may_be_none, records))
            continue
        image, boxes = done
        image["id"] = len(clean["images"]) + 1
        clean["images"].append(image)
        for box in boxes:
            clean["annotations"].append(
                {"id": len(clean["annotations"]) + 1, "image_id": image["id"], **box})
    count.images_used = len(clean["images"])
    count.boxes_used = len(clean["annotations"])
    count.boxes_left_out = boxes_before - count.boxes_used
    if raw.masks_left_out:
        ledger.notes.append(f"{raw.name}: the masks of {raw.masks_left_out} annotations are not "
                            "carried over, only their boxes")
    hint = EMPTY_IS_BACKGROUND if only_empty and empty_is_background is not None else ""
    if hint:
        ledger.notes.append(f"{raw.name}: {only_empty} images are left out as their boxes are all "
                            f"empty{hint}")
    refuse_unusable(raw, clean, count, ledger, only_empty, hint)
    return clean


def _may_be_none(record: Record) -> bool:
    """Whether nothing in an annotation shows where an object is: no box, and no mask."""
    return is_empty(record.get("bbox")) and NOTES not in record


def _drop_empty(split: SurveyedSplit, at: int, ledger: Ledger) -> None:
    image = split.images[at]
    place = {"file": source_of(image, split.raw), "split": split.raw.name,
             "image": image["file_name"]}
    kept = []
    for record in split.by_image.get(at, []):
        if _may_be_none(record):
            ledger.add("empty_box", f"its box is {record['bbox']}", "taken as no annotation, as "
                       "data_options says", annotation=record.get("object", record.get("id")),
                       **place)
        else:
            kept.append(record)
    split.by_image[at] = kept


def _clean_image(
    split: SurveyedSplit, at: int, table: ClassTable, way: str, ledger: Ledger
) -> tuple[Record, list[Record]] | None:
    raw, record, facts = split.raw, split.images[at], split.facts[at]
    name, records = split.files[at], split.by_image.get(at, [])
    place = {"file": source_of(record, raw), "image": record["file_name"],
             "split": raw.name}

    def say(kind: str, what: str, action: str) -> None:
        ledger.add(kind, what, action, **place)

    def say_of(box: Record, kind: str, what: str, action: str) -> None:
        ledger.add(kind, what, action, annotation=box.get("object", box.get("id")), **place)

    left_out = f"left out with its {len(records)} boxes"
    if name is None or facts is None:
        say("missing_image", f"there is no such file below {raw.image_dir}", left_out)
        return None
    if facts.fault is not None:
        say("unreadable_image", facts.fault, left_out)
        return None
    for note in facts.notes:
        say(*note)
    boxes = [box for one in records if (box := as_box(one.get("bbox"))) is not None]
    frame = settle_frame(record, facts, boxes, say, way)
    if frame is None:
        return None
    image = {key: value for key, value in record.items()
             if isinstance(value, (int, str)) and key != OWN_NAME}
    image.update(file_name=name, width=frame.width, height=frame.height,
                 original_id=record["id"])
    index_of = table.index_of[raw.name]
    kept = clean_boxes(records, frame, facts.stored_wh, index_of, say_of)
    if not kept:
        # Objects of classes that were left out as a whole are background of the others.
        lost = [one for one in records if not is_id(key := one.get("category_id"))
                or index_of.get(key) != -1]
        if lost:
            say("image_without_usable_box", f"it shows objects, but none of its {len(lost)} boxes "
                "can be used: as background it would teach that they are none", left_out)
            return None
        say("image_without_boxes", "it has no annotation" if not records else
            f"its {len(records)} objects are of classes that are left out",
            "kept as an image of background")
    return image, kept
