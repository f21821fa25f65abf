"""Whether the detections of two engines match."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detkit.inference.engines.engine import RawDetections

# Detections below it are not compared: rounding moves them across the score threshold.
CONFIDENT_SCORE = 0.1
MIN_MATCHED_SHARE = 0.95


class Tolerance(NamedTuple):
    """Largest difference between matching detections.

    Args:
        pixels: of each side of a box, in pixels of the input.
        score: of the score.
    """

    pixels: float
    score: float


# Rounding errors, accumulated over the depth of a network, of f32 in another order, of the 11 and
# 8 bits of f16 and bf16, and of int8. This finds broken engines; accuracy is measured by the AP.
TOLERANCES = {
    "f32": Tolerance(0.1, 0.005),
    "f16": Tolerance(4.0, 0.1),
    "bf16": Tolerance(8.0, 0.2),
    "int8": Tolerance(16.0, 0.3),
}


def outputs_match(first: RawDetections, second: RawDetections, tolerance: Tolerance) -> bool:
    """Whether at least 95 % of the confident detections of each have a match in the other.

    Args:
        first, second: outputs of two engines for the same batch.
        tolerance: largest difference between matching detections, which have the same label.
    """
    if len(first.counts) != len(second.counts):
        return False
    pairs = ((first, second), (second, first))
    for result, other in pairs:
        for image in range(len(result.counts)):
            if not _all_matched(result, other, image, tolerance):
                return False
    return True


def _all_matched(
    result: RawDetections, other: RawDetections, image: int, tolerance: Tolerance
) -> bool:
    count, other_count = int(result.counts[image]), int(other.counts[image])
    scores = result.scores[image, :count]
    # Above the threshold by the tolerance, so that the match is above or near the threshold.
    confident = scores >= CONFIDENT_SCORE + tolerance.score
    if not confident.any():
        return True
    boxes = result.boxes[image, :count][confident][:, None]
    box_error = np.abs(boxes - other.boxes[image, :other_count][None]).max(axis=-1, initial=0)
    score_error = np.abs(scores[confident][:, None] - other.scores[image, :other_count][None])
    same_label = result.labels[image, :count][confident][:, None] == other.labels[
        image, :other_count][None]
    matched = (box_error <= tolerance.pixels) & (score_error <= tolerance.score) & same_label
    # nan matches nothing.
    return bool(matched.any(axis=1).mean() >= MIN_MATCHED_SHARE)
