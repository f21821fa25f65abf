"""Compare a static graph's detections with those of mmdet's predict on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from detkit.inference.detection_adapter import DetectionAdapter
from detkit.inference.graph.build import build_static_graph
from detkit.inference.letterbox import letterbox, resize_spec_from_pipeline
from detkit.inference.run_test_step import run_test_step

Image = NDArray[np.uint8]
BOX, SCORE, TIE = 0.01, 1e-4, 1e-6  # tolerances: pixels of the image; probabilities


def letterbox_batch(
    model: Any, pipeline: Sequence[Mapping[str, Any]], raw_images: Sequence[Image]
) -> tuple[Tensor, Tensor, list[tuple[float, float]]]:
    """Letterboxed images of one input size, their sizes, and the scale factors (x, y)."""
    resize_spec = resize_spec_from_pipeline(pipeline, model.data_preprocessor.pad_size_divisor)
    sizes = [resize_spec.input_hw_for(image.shape[:2]) for image in raw_images]
    input_hw = (max(size[0] for size in sizes), max(size[1] for size in sizes))
    letterboxed = [letterbox(image, input_hw, resize_spec) for image in raw_images]
    return (torch.from_numpy(np.stack([item.canvas for item in letterboxed])),
            torch.tensor([item.image_hw
                          for item in letterboxed]), [item.scale_xy for item in letterboxed])


def assert_matches_mmdet(
    model: Any,
    pipeline: Sequence[Mapping[str, Any]],
    raw_images: Sequence[Image],
    graph: nn.Module | None = None,
) -> list[int]:
    """Assert that the graph's detections equal mmdet's; return the counts."""
    images, image_hw, scales = letterbox_batch(model, pipeline, raw_images)
    adapter = DetectionAdapter(model, pipeline, 80)
    samples = run_test_step(model, [adapter.prepare(image) for image in raw_images])
    graph = graph or build_static_graph(model, (images.shape[1], images.shape[2]))
    with torch.inference_mode():
        boxes, scores, labels, counts = graph(images, image_hw)
    for row, sample in enumerate(samples):
        expected, count = sample.pred_instances, int(counts[row])
        assert count == len(expected.scores)
        assert not boxes[row, count:].any() and not scores[row, count:].any()
        assert (scores[row, :count].diff() <= 0).all()
        scale_x, scale_y = scales[row]
        actual_boxes = boxes[row, :count] / torch.tensor([scale_x, scale_y, scale_x, scale_y])
        assert_matched(actual_boxes, scores[row, :count], labels[row, :count], expected)
    return [int(count) for count in counts]


def assert_matched(boxes: Tensor, scores: Tensor, labels: Tensor, expected: Any) -> None:
    """Assert that the boxes match those of ``expected`` one to one, in label, position and score.

    Of two overlapping boxes with the same score, such as RoIs on the same cells, the last digit
    decides which one is suppressed. So up to 2 % of the boxes may be at another position if the
    label and six digits of the score match.
    """
    boxes_match = (boxes[:, None] - expected.bboxes[None]).abs().amax(-1) <= BOX
    score_error = (scores[:, None] - expected.scores[None]).abs()
    same_label = labels[:, None] == expected.labels[None]
    matches = boxes_match & same_label & (score_error <= SCORE)
    ties = same_label & (score_error <= TIE)
    row_index, column_index = linear_sum_assignment((matches * 1000 + ties * 1).numpy(),
                                                    maximize=True)
    assert (matches | ties)[row_index, column_index].all(), "a box that mmdet does not have"
    assert (~matches[row_index, column_index]).sum() <= 0.02 * len(boxes), "ties only"
