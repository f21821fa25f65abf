"""Images so thin that a pipeline's resize would leave none of their shorter side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.data.detection.splits import select_images
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger, SplitCount


@dataclass(frozen=True)
class ResizeStep:
    """A step of a pipeline that resizes an image and keeps its proportions.

    Args:
        name: as the config calls it.
        scale: the longer and the shorter side in pixels that an image may have at most, where
            they are smallest; infinite for no limit.
    """

    name: str
    scale: tuple[float, float]

    def output_wh(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in pixels that the step gives an image.

        Source: mmcv's ``rescale_size``.
        """
        factor = min(self.scale[0] / max(width, height), self.scale[1] / min(width, height))
        return int(width * factor + 0.5), int(height * factor + 0.5)


def resize_steps(value: Any) -> Iterator[ResizeStep]:
    """The steps that resize and keep proportions, at any depth of a config's dicts and lists.

    Of a random size the smallest one. Steps that give every image the same size are not among
    them, nor are those whose arguments are none that mmcv or mmdet take.
    """
    if isinstance(value, Mapping):
        name = str(value.get("type")).rpartition(".")[2]
        yield from (ResizeStep(name, scale) for scale in _min_scales(name, value))
        for item in value.values():
            yield from resize_steps(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from resize_steps(item)


def drop_thin_images(
    clean: Mapping[str, dict[str, Any]], image_dirs: Mapping[str, Path],
    steps: Mapping[str, Sequence[ResizeStep]], ledger: Ledger,
) -> dict[str, dict[str, Any]]:
    """Leave out of each split the images that its pipeline would resize to nothing.

    Args:
        clean: cleaned COCO json by split.
        image_dirs: by split.
        steps: by split; none for a split that is missing there.
        ledger: takes a line for each image.

    Returns:
        The splits; one without such images is the same object as before.
    """
    kept_splits: dict[str, dict[str, Any]] = {}
    for name, content in clean.items():
        split_steps = steps.get(name, ())
        source_split = next((other for other in kept_splits
                             if clean[other] is content and steps.get(other, ()) == split_steps),
                            None)
        if source_split is not None:  # it stands in for another
            kept_splits[name] = kept_splits[source_split]
            continue
        thin_reasons = dict(_find_thin_images(content, split_steps))
        kept_splits[name] = content
        if not thin_reasons:
            continue
        kept = {image["file_name"] for image in content["images"]} - set(thin_reasons)
        kept_splits[name] = select_images(content, kept)
        count = ledger.splits.setdefault(name, SplitCount())
        boxes = len(content["annotations"]) - len(kept_splits[name]["annotations"])
        count.images_used -= len(thin_reasons)
        count.images_left_out += len(thin_reasons)
        count.boxes_used -= boxes
        count.boxes_left_out += boxes
        for image, reason in thin_reasons.items():
            ledger.add("thin_image", reason, "left out with its boxes", file=str(image_dirs[name]),
                       image=image, split=name)
    return kept_splits


def check_thin_images(
    content: Mapping[str, Any], steps: Sequence[ResizeStep], source: str, ledger: Ledger
) -> None:
    """Refuse the images of cleaned COCO json that a pipeline would resize to nothing."""
    for image, reason in _find_thin_images(content, steps):
        ledger.add("thin_image", reason, ERROR, file=source, image=image)


def _find_thin_images(content: Mapping[str, Any],
                      steps: Sequence[ResizeStep]) -> Iterator[tuple[str, str]]:
    """File names of such images, and why."""
    for image in content["images"]:
        width, height = image["width"], image["height"]
        for step in steps:
            new_width, new_height = step.output_wh(width, height)
            if min(new_width, new_height) < 1:
                yield image["file_name"], (
                    f"it is {width}x{height} pixels: too thin for the pipeline, whose {step.name} "
                    f"would make it {new_width}x{new_height}")
                break


def _min_scales(name: str, step: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """The smallest sizes of a step by its config: longer and shorter side."""
    if name == "ResizeShortestEdge":
        short = _parse_pair(step.get("scale"))
        limit = _parse_pair(step.get("max_size"))
        if short is not None:
            yield math.inf if limit is None else limit[0], min(short)
        return
    if not step.get("keep_ratio"):
        return
    if name in ("Resize", "FixScaleResize"):
        given = [step.get("scale")]
    elif name == "RandomChoiceResize":
        scales = step.get("scales")
        given = list(scales) if isinstance(scales, list) else [scales]
    elif name == "RandomResize":
        given = [_min_random_scale(step.get("scale"), step.get("ratio_range"))]
    else:
        return
    for pair in map(_parse_pair, given):
        if pair is not None:
            yield max(pair), min(pair)


def _min_random_scale(scale: Any, ratio_range: Any) -> Any:
    """The smallest size that RandomResize draws."""
    if isinstance(scale, (list, tuple)) and scale and isinstance(scale[0], (list, tuple)):
        pairs = [pair for pair in map(_parse_pair, scale) if pair is not None]
        return [min(sides) for sides in zip(*pairs)]
    pair, ratios = _parse_pair(scale), _parse_pair(ratio_range)
    if pair is None or ratios is None:
        return scale
    return [int(side * min(ratios)) for side in pair]


def _parse_pair(value: Any) -> tuple[float, float] | None:
    """Two numbers above zero, one of them twice where there is one; None for anything else."""
    sides = value if isinstance(value, (list, tuple)) else [value, value]
    if len(sides) != 2 or not all(map(_is_number, sides)):
        return None
    return sides[0], sides[1]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
