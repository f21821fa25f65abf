"""Thin images, whose shorter side a resize of the pipeline would reduce below one pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.data.detection.splits import select_images
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger, SplitCount
from detkit.walk import walk_dicts

# Steps of mmdet that fit each image into a canvas of ``img_scale``, and the default of that.
_MIXING_STEPS = ("Mosaic", "MixUp", "CachedMosaic", "CachedMixUp")
_MIXING_SCALE = (640, 640)


@dataclass(frozen=True)
class ResizeStep:
    """A pipeline step that resizes an image and keeps its aspect ratio.

    Args:
        name: the type in the config.
        scale: the maximum of the longer and of the shorter side in pixels, the smallest ones for
            random sizes; infinite for no limit.
        rounds: False if sides are truncated to whole pixels.
    """

    name: str
    scale: tuple[float, float]
    rounds: bool = True

    def output_wh(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in pixels of a resized image.

        Source: mmcv's ``rescale_size``.
        """
        factor = min(self.scale[0] / max(width, height), self.scale[1] / min(width, height))
        half = 0.5 if self.rounds else 0
        return int(width * factor + half), int(height * factor + half)


def resize_steps(value: Any) -> Iterator[ResizeStep]:
    """The steps in a pipeline config, at any depth, that resize and keep the aspect ratio.

    Of random sizes the smallest one. Steps with a fixed output size are not included, nor those
    with arguments that mmcv and mmdet do not accept.
    """
    for _, step in walk_dicts(value):
        name = str(step.get("type")).rpartition(".")[2]
        yield from (ResizeStep(name, scale, name not in _MIXING_STEPS)
                    for scale in _min_scales(name, step))


def drop_thin_images(
    clean: Mapping[str, dict[str, Any]], image_dirs: Mapping[str, Path],
    steps: Mapping[str, Sequence[ResizeStep]], ledger: Ledger,
) -> dict[str, dict[str, Any]]:
    """Leave out the images whose shorter side the pipeline would reduce below one pixel.

    Args:
        clean: cleaned COCO json by split.
        image_dirs: image folder by split.
        steps: resize steps by split; a split may be missing.
        ledger: receives an issue for each image, and the counts.

    Returns:
        COCO json by split; a split without such images is the same object as in ``clean``.
    """
    kept_splits: dict[str, dict[str, Any]] = {}
    for name, content in clean.items():
        split_steps = steps.get(name, ())
        source_split = next((other for other in kept_splits
                             if clean[other] is content and steps.get(other, ()) == split_steps),
                            None)
        if source_split is not None:  # the same split, used in place of another
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
    """Report an error for images whose shorter side the pipeline would reduce below one pixel."""
    for image, reason in _find_thin_images(content, steps):
        ledger.add("thin_image", reason, ERROR, file=source, image=image)


def _find_thin_images(content: Mapping[str, Any],
                      steps: Sequence[ResizeStep]) -> Iterator[tuple[str, str]]:
    """The file names of such images, with the reason."""
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
    """The smallest scales of a step by its config: longer and shorter side."""
    if name == "ResizeShortestEdge":
        short = _parse_pair(step.get("scale"))
        limit = _parse_pair(step.get("max_size"))
        if short is not None:
            yield math.inf if limit is None else limit[0], min(short)
        return
    if name in _MIXING_STEPS:
        canvas_wh = _parse_pair(step.get("img_scale", _MIXING_SCALE))
        if canvas_wh is not None:
            # Whichever the longer side of the image is.
            yield min(canvas_wh), min(canvas_wh)
        return
    if not step.get("keep_ratio"):
        return
    if name in ("Resize", "FixScaleResize"):
        step_scales = [step.get("scale")]
    elif name == "RandomChoiceResize":
        scales = step.get("scales")
        step_scales = list(scales) if isinstance(scales, list) else [scales]
    elif name == "RandomResize":
        step_scales = [_min_random_scale(step.get("scale"), step.get("ratio_range"))]
    else:
        return
    for pair in map(_parse_pair, step_scales):
        if pair is not None:
            yield max(pair), min(pair)


def _min_random_scale(scale: Any, ratio_range: Any) -> Any:
    """The smallest scale that RandomResize draws."""
    if isinstance(scale, (list, tuple)) and scale and isinstance(scale[0], (list, tuple)):
        pairs = [pair for pair in map(_parse_pair, scale) if pair is not None]
        return [min(sides) for sides in zip(*pairs)]
    pair, ratios = _parse_pair(scale), _parse_pair(ratio_range)
    if pair is None or ratios is None:
        return scale
    return [int(side * min(ratios)) for side in pair]


def _parse_pair(value: Any) -> tuple[float, float] | None:
    """Two positive numbers, or a single one twice; None for anything else."""
    sides = value if isinstance(value, (list, tuple)) else [value, value]
    if len(sides) != 2 or not all(map(_is_number, sides)):
        return None
    return sides[0], sides[1]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
