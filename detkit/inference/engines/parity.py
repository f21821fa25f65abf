"""Whether two engines found the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detkit.inference.engines.engine import RawDetections

# Candidates near a threshold fall to either side with the last bit: of those, nothing is asked.
CLEAR = 0.1
SHARE = 0.95


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


def agree(first: RawDetections, second: RawDetections, tolerance: Tolerance) -> bool:
    """Whether at least 95 % of the clear results of each have a partner in the other.

    Args:
        first, second: what two engines gave for the same batch.
        tolerance: how far partners may lie from each other; they have one label.
    """
    if len(first.counts) != len(second.counts):
        return False
    pairs = ((first, second), (second, first))
    for one, other in pairs:
        for image in range(len(one.counts)):
            if not _all_have_partners(one, other, image, tolerance):
                return False
    return True


def _all_have_partners(
    one: RawDetections, other: RawDetections, image: int, tolerance: Tolerance
) -> bool:
    count, others = int(one.counts[image]), int(other.counts[image])
    scores = one.scores[image, :count]
    # Beyond the score's tolerance above the line, so that a partner is above it too, or near.
    clear = scores >= CLEAR + tolerance.score
    if not clear.any():
        return True
    boxes = one.boxes[image, :count][clear][:, None]
    off = np.abs(boxes - other.boxes[image, :others][None]).max(axis=-1, initial=0)
    scored = np.abs(scores[clear][:, None] - other.scores[image, :others][None])
    same = one.labels[image, :count][clear][:, None] == other.labels[image, :others][None]
    partner = (off <= tolerance.pixels) & (scored <= tolerance.score) & same
    # nan is no partner of anything.
    return bool(partner.any(axis=1).mean() >= SHARE)
