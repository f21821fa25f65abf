"""Remove boxes from an image's annotations, with all that belongs to them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

_KEYS = ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags", "gt_masks")


def select_boxes(results: dict[str, Any], kept: NDArray[Any]) -> None:
    """Keep the boxes at ``kept``, (N,) bool, and their labels, flags and masks, in place."""
    for key in _KEYS:
        if results.get(key) is not None:
            results[key] = results[key][kept]


def remove_thin_boxes(results: dict[str, Any], min_side: float = 1) -> None:
    """Remove boxes of less than ``min_side`` pixels in width or height, in place."""
    boxes = results["gt_bboxes"]
    select_boxes(results, ((boxes.widths >= min_side) & (boxes.heights >= min_side)).numpy())
