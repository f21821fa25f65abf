"""What is left to learn from: the boxes that are objects, and why a split has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from detkit.data.detection.annotations import RawSplit, Record
from detkit.data.report.issue import ERROR, LEFT_OUT
from detkit.data.report.ledger import Ledger, SplitCount

DIFFICULT = "voc_difficult"
# Images, of which a train, a val and a test split can be made.
MIN_IMAGES = 3


def is_object(box: Record) -> bool:
    """Whether a cleaned annotation is an object that can be learnt and measured."""
    return not box["iscrowd"] and box["bbox"][2] >= 1 and box["bbox"][3] >= 1


def count_objects(clean: Mapping[str, Any]) -> Counter[int]:
    """How many boxes of each category id of a cleaned split can be learnt and measured."""
    return Counter(box["category_id"] for box in clean["annotations"] if is_object(box))


def resolve_difficult(
    clean: Mapping[str, dict[str, Any]], train: bool, voc: bool, ledger: Ledger
) -> None:
    """Make difficult objects what their dialect says they are.

    Pascal VOC ignores them when it measures: found or not, they count neither for nor against.
    They become crowd regions that say by ``voc_difficult`` that they are matched as objects; in
    train only where ``train`` is False. In COCO files 'difficult' is a field that nothing reads.

    Args:
        clean: cleaned COCO json by split; annotations are changed in place.
        train: keep those of the train split as objects to train on.
        voc: whether the data are Pascal VOC's.
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
                            "does not read it, they count as any other")
        return
    trained = ("those of train are trained on; data_options.train_difficult=False leaves them out"
               if train else "those of train are not trained on, as data_options says")
    ledger.notes.append(f"difficult objects ({summary}) are ignored in AP, as Pascal VOC does: "
                        f"neither missed nor falsely found; {trained}")


def check_usable_boxes(
    raw: RawSplit, clean: Mapping[str, Any], count: SplitCount, ledger: Ledger,
    only_empty: int = 0, hint: str = "",
) -> None:
    """Refuse a split none of whose boxes can be used, or that loses most of its images, and say
    what most of them lack; and one whose boxes are no objects.

    Args:
        clean: cleaned COCO json.
        count: of what was used and left out.
        only_empty: images left out because all of their boxes are empty; they may be meant as
            background, and are no sign of a wrong folder where enough others are left.
        hint: what to do about those.
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
        ledger.add("too_many_images_left_out", f"only {count.images_used} images can be used and "
                   f"{count.images_left_out} can not; is this the right folder?{cause}", ERROR,
                   **location)
    elif clean["annotations"]:
        check_has_objects(clean, raw.name, ledger, str(raw.source))


def _most_frequent_cause(raw: RawSplit, ledger: Ledger) -> str:
    """What the most findings of a split that left something out say, with the first of them."""
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
    """Refuse a cleaned split without an object that can be learnt or measured, and say why."""
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
        hint = ("; if they are objects, as masks that a tool exported as crowds, set iscrowd to 0"
                if crowd else "")
        message = (f"nothing can be learnt or measured on {'it' if file else f'the {name} split'}: "
                   f"of its {len(boxes)} boxes {' and '.join(reasons)}{hint}")
    ledger.add("split_without_boxes", message, ERROR, split=name, file=file)
