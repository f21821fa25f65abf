"""Whether two engines found the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detkit.inference.engines.engine import RawDetections

# Candidates near a threshold fall to either side with the last bit: of those, nothing is asked.
CONFIDENT_SCORE = 0.1
MIN_MATCHED_SHARE = 0.95


class Tolerance(NamedTuple):
    """How far partners may lie from each other.

    Args:
        pixels: the most that a side of a box may be off, in pixels of the canvas.
        score: the most that a score may be off.
    """

    pixels: float
    score: float


# Rounding: of f32 in another order, of bf16's 8 bits, f16's 11 and int8's 256 steps, over the
# depth of a network. The accuracy is judged by the AP, not here: this finds what is broken.
TOLERANCES = {
    "f32": Tolerance(0.1, 0.005),
    "f16": Tolerance(4.0, 0.1),
    "bf16": Tolerance(8.0, 0.2),
    "int8": Tolerance(16.0, 0.3),
}


def outputs_match(first: RawDetections, second: RawDetections, tolerance: Tolerance) -> bool:
    """Whether at least 95 % of the clear results of each have a partner in the other.

    Args:
        first, second: what two engines gave for the same batch.
        tolerance: how far partners may lie from each other; they have one label.
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
    # Beyond the score's tolerance above the line, so that a partner is above it too, or near.
    confident = scores >= CONFIDENT_SCORE + tolerance.score
    if not confident.any():
        return True
    boxes = result.boxes[image, :count][confident][:, None]
    box_error = np.abs(boxes - other.boxes[image, :other_count][None]).max(axis=-1, initial=0)
    score_error = np.abs(scores[confident][:, None] - other.scores[image, :other_count][None])
    same_label = result.labels[image, :count][confident][:, None] == other.labels[
        image, :other_count][None]
    matched = (box_error <= tolerance.pixels) & (score_error <= tolerance.score) & same_label
    # nan is no partner of anything.
    return bool(matched.any(axis=1).mean() >= MIN_MATCHED_SHARE)
