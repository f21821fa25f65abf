"""A static graph and mmdet's own predict on the same pictures, and how far they are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from detkit.inference.detection_adapter import SampleAdapter
from detkit.inference.graph.build import static_graph
from detkit.inference.letterbox import fit, rule_of
from detkit.inference.predictor_protocol import ask

Image = NDArray[np.uint8]
BOX, SCORE, TIE = 0.01, 1e-4, 1e-6  # pixels of the picture; of probabilities


def inputs_of(
    model: Any, pipeline: Sequence[Mapping[str, Any]], pictures: Sequence[Image]
) -> tuple[Tensor, Tensor, list[tuple[float, float]]]:
    """Canvases and valid sizes as a graph takes them, and the scales; one canvas holds all."""
    rule = rule_of(pipeline, model.data_preprocessor.pad_size_divisor)
    sizes = [rule.canvas_for(picture.shape[:2]) for picture in pictures]
    canvas_hw = (max(size[0] for size in sizes), max(size[1] for size in sizes))
    fitted = [fit(picture, canvas_hw, rule) for picture in pictures]
    return (torch.from_numpy(np.stack([one.canvas for one in fitted])),
            torch.tensor([one.valid_hw for one in fitted]), [one.scale_xy for one in fitted])


def assert_equal(
    model: Any,
    pipeline: Sequence[Mapping[str, Any]],
    pictures: Sequence[Image],
    graph: nn.Module | None = None,
) -> list[int]:
    """Fail unless the graph finds in a batch what mmdet does; the counts of results."""
    images, valid_hw, scales = inputs_of(model, pipeline, pictures)
    adapter = SampleAdapter(model, pipeline, 80)
    samples = ask(model, [adapter.prepare(picture) for picture in pictures])
    graph = graph or static_graph(model, (images.shape[1], images.shape[2]))
    with torch.inference_mode():
        boxes, scores, labels, counts = graph(images, valid_hw)
    for row, sample in enumerate(samples):
        wanted, count = sample.pred_instances, int(counts[row])
        assert count == len(wanted.scores)
        assert not boxes[row, count:].any() and not scores[row, count:].any()
        assert (scores[row, :count].diff() <= 0).all()
        across, down = scales[row]
        found = boxes[row, :count] / torch.tensor([across, down, across, down])
        assert_matched(found, scores[row, :count], labels[row, :count], wanted)
    return [int(count) for count in counts]


def assert_matched(boxes: Tensor, scores: Tensor, labels: Tensor, wanted: Any) -> None:
    """Each box has one in ``wanted`` of its own with the same label, place and score.

    Of two overlapping boxes with one score, as RoIs on the same cells have it, the last digit says
    which one suppresses the other: where the label and six digits of the score agree, at most two
    boxes in a hundred may be at another place.
    """
    near = (boxes[:, None] - wanted.bboxes[None]).abs().amax(-1) <= BOX
    apart = (scores[:, None] - wanted.scores[None]).abs()
    same = labels[:, None] == wanted.labels[None]
    fits = near & same & (apart <= SCORE)
    ties = same & (apart <= TIE)
    mine, theirs = linear_sum_assignment((fits * 1000 + ties * 1).numpy(), maximize=True)
    assert (fits | ties)[mine, theirs].all(), "a box that mmdet has not"
    assert (~fits[mine, theirs]).sum() <= 0.02 * len(boxes), "ties only"
