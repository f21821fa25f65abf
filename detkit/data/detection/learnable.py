"""What is left to learn from: the boxes that are objects, and why a split has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from detkit.data.detection.annotations import RawSplit, Record
from detkit.data.report.ledger import LEFT_OUT, REFUSED, Ledger, SplitCount

DIFFICULT = "voc_difficult"
# Images, of which a train, a val and a test split can be made.
ENOUGH = 3


def is_object(box: Record) -> bool:
    """Whether a cleaned annotation is an object that can be learnt and measured."""
    return not box["iscrowd"] and box["bbox"][2] >= 1 and box["bbox"][3] >= 1


def count_objects(clean: Mapping[str, Any]) -> Counter[int]:
    """How many boxes of each category id of a cleaned split can be learnt and measured."""
    return Counter(box["category_id"] for box in clean["annotations"] if is_object(box))


def settle_difficult(
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
    found = ", ".join(f"{name} {count}" for name, count in counts.items())
    if not voc:
        ledger.notes.append(f"'difficult' is 1 in some annotations ({found}): COCO's evaluation "
                            "does not read it, they count as any other")
        return
    trained = ("those of train are trained on; data_options.train_difficult=False leaves them out"
               if train else "those of train are not trained on, as data_options says")
    ledger.notes.append(f"difficult objects ({found}) are ignored in AP, as Pascal VOC does: "
                        f"neither missed nor falsely found; {trained}")


def refuse_unusable(
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
    place = {"file": str(raw.source), "split": raw.name}
    if any(split == raw.name and outcome == REFUSED for _, split, outcome in ledger.tally):
        return
    cause = _main_cause(raw, ledger) + hint
    left_out = count.images_left_out - (only_empty if count.images_used >= ENOUGH else 0)
    if raw.annotations and not count.boxes_used:
        ledger.add("no_usable_box", f"none of its {len(raw.annotations)} boxes can be used{cause}",
                   REFUSED, **place)
    elif left_out > count.images_used:
        ledger.add("too_many_images_left_out", f"only {count.images_used} images can be used and "
                   f"{count.images_left_out} can not; is this the right folder?{cause}", REFUSED,
                   **place)
    elif clean["annotations"]:
        refuse_unlearnable(clean, raw.name, ledger, str(raw.source))


def _main_cause(raw: RawSplit, ledger: Ledger) -> str:
    """What the most findings of a split that left something out say, with the first of them."""
    left_out = Counter({sort: count for sort, count in ledger.tally.items()
                        if sort[1] == raw.name and sort[2] == LEFT_OUT
                        and sort[0] != "image_without_usable_box"})
    if not left_out:
        return ""
    sort, count = left_out.most_common(1)[0]
    kind = sort[0]
    first = next(fault for fault in ledger.faults if fault.sort == sort)
    where = f"annotation {first.annotation}" if first.annotation is not None else (
        f"image '{first.image}'" if first.image is not None else "the first")
    return f"; {kind} in {count}, such as {where}: {first.what}"


def refuse_unlearnable(
    clean: Mapping[str, Any], name: str, ledger: Ledger, file: str = ""
) -> None:
    """Refuse a cleaned split without an object that can be learnt or measured, and say why."""
    boxes = clean["annotations"]
    if any(map(is_object, boxes)):
        return
    what = f"the {name} split has no usable box"
    if boxes:
        difficult = sum(DIFFICULT in box for box in boxes)
        crowd = sum(box["iscrowd"] for box in boxes) - difficult
        why = [f"{crowd} are crowd regions (iscrowd 1)"] if crowd else []
        why += [f"{difficult} are marked difficult"] if difficult else []
        why += [f"{small} are less than a pixel wide or high"] if (
            small := len(boxes) - crowd - difficult) else []
        hint = ("; if they are objects, as masks that a tool exported as crowds, set iscrowd to 0"
                if crowd else "")
        what = (f"nothing can be learnt or measured on {'it' if file else f'the {name} split'}: "
                f"of its {len(boxes)} boxes {' and '.join(why)}{hint}")
    ledger.add("split_without_boxes", what, REFUSED, split=name, file=file)
