"""Objects for training and evaluation: which boxes count, and why a split may have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from detkit.data.detection.annotations import RawSplit, Record
from detkit.data.report.issue import ERROR, LEFT_OUT
from detkit.data.report.ledger import Ledger, SplitCount

DIFFICULT = "voc_difficult"
# The smallest number of images for a train, a val and a test split.
MIN_IMAGES = 3


def is_object(box: Record) -> bool:
    """Whether a cleaned annotation counts in training and evaluation: no crowd, at least a pixel
    wide and high."""
    return not box["iscrowd"] and box["bbox"][2] >= 1 and box["bbox"][3] >= 1


def count_objects(clean: Mapping[str, Any]) -> Counter[int]:
    """The number of objects of each category id of a cleaned split."""
    return Counter(box["category_id"] for box in clean["annotations"] if is_object(box))


def resolve_difficult(
    clean: Mapping[str, dict[str, Any]], train: bool, voc: bool, ledger: Ledger
) -> None:
    """Mark difficult objects as their format defines them.

    Pascal VOC's evaluation ignores them: detected or not, they count neither as true nor as false.
    They become crowd regions, with ``voc_difficult`` to have them matched as objects; in train
    only where ``train`` is False. In COCO files 'difficult' has no meaning.

    Args:
        clean: cleaned COCO json by split; annotations are changed in place.
        train: whether those of the train split stay objects to train on.
        voc: whether the format is Pascal VOC.
        ledger: a note states what was done.
    """
    counts: Counter[str] = Counter()
    for name, content in clean.items():
        for box in content["annotations"]:
            if box.get("difficult") in (1, True) and DIFFICULT not in box:
                counts[name] += 1
                if voc and not (train and name == "train"):
                    box.update({"iscrowd": 1, DIFFICULT: 1})
    if not counts:
        return
    summary = ", ".join(f"{name} {count}" for name, count in counts.items())
    if not voc:
        ledger.notes.append(f"'difficult' is 1 in some annotations ({summary}): COCO's evaluation "
                            "does not use it, they count as any other object")
        return
    trained = ("those of train are trained on; data_options.train_difficult=False leaves them out"
               if train else "those of train are not trained on, as set in data_options")
    ledger.notes.append(f"difficult objects ({summary}) are ignored in AP, as in Pascal VOC: "
                        f"neither false negatives nor false positives; {trained}")


def check_usable_boxes(
    raw: RawSplit, clean: Mapping[str, Any], count: SplitCount, ledger: Ledger,
    only_empty: int = 0, hint: str = "",
) -> None:
    """Report an error, with its most frequent cause, for a split without usable boxes, one that
    loses most of its images, and one whose boxes are not objects.

    Args:
        raw: the split as read from its files.
        clean: the same as cleaned COCO json.
        count: the numbers of used and left out images and boxes.
        ledger: receives the error.
        only_empty: the number of images left out because all of their boxes are empty. They may
            be background, and are no sign of a wrong folder if enough others are left.
        hint: what to do about them.
    """
    location = {"file": str(raw.source), "split": raw.name}
    if any(split == raw.name and outcome == ERROR for _, split, outcome in ledger.group_counts):
        return
    cause = _most_frequent_cause(raw, ledger) + hint
    left_out = count.images_left_out - (only_empty if count.images_used >= MIN_IMAGES else 0)
    if raw.annotations and not count.boxes_used:
        ledger.add("no_usable_box", f"none of its {len(raw.annotations)} boxes can be used{cause}",
                   ERROR, **location)
    elif left_out > count.images_used:
        ledger.add("too_many_images_left_out", f"only {count.images_used} images can be used, "
                   f"{count.images_left_out} cannot; is this the right folder?{cause}", ERROR,
                   **location)
    elif clean["annotations"]:
        check_has_objects(clean, raw.name, ledger, str(raw.source))


def _most_frequent_cause(raw: RawSplit, ledger: Ledger) -> str:
    """The most frequent issue that left something out of a split, with an example."""
    left_out = Counter({group: count for group, count in ledger.group_counts.items()
                        if group[1] == raw.name and group[2] == LEFT_OUT
                        and group[0] != "image_without_usable_box"})
    if not left_out:
        return ""
    group, count = left_out.most_common(1)[0]
    code = group[0]
    first = next(issue for issue in ledger.issues if issue.group == group)
    where = f"annotation {first.annotation}" if first.annotation is not None else (
        f"image '{first.image}'" if first.image is not None else "the first")
    return f"; {code} in {count}, such as {where}: {first.message}"


def check_has_objects(
    clean: Mapping[str, Any], name: str, ledger: Ledger, file: str = ""
) -> None:
    """Report an error for a cleaned split without objects, with the reasons."""
    boxes = clean["annotations"]
    if any(map(is_object, boxes)):
        return
    message = f"the {name} split has no usable box"
    if boxes:
        difficult = sum(DIFFICULT in box for box in boxes)
        crowd = sum(box["iscrowd"] for box in boxes) - difficult
        reasons = [f"{crowd} are crowd regions (iscrowd 1)"] if crowd else []
        reasons += [f"{difficult} are marked difficult"] if difficult else []
        reasons += [f"{small} are less than a pixel wide or high"] if (
            small := len(boxes) - crowd - difficult) else []
        hint = ("; if they are objects, such as masks that a tool exported as crowds, set iscrowd "
                "to 0" if crowd else "")
        message = (f"{'it' if file else f'the {name} split'} has no object to train on or "
                   f"evaluate: of its {len(boxes)} boxes {' and '.join(reasons)}{hint}")
    ledger.add("split_without_boxes", message, ERROR, split=name, file=file)
