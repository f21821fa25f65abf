"""NMS with a tail: the boxes of NMS with their scores, the suppressed ones with low scores."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import nms

from detkit.ops.tail_nms import tail_nms

# The second box covers the upper 8 of the first one's 10 rows: IoU 0.8. The third is elsewhere.
BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 30]])
SCORES = torch.tensor([0.9, 0.8, 0.05])


def test_empty_input_gives_no_boxes() -> None:
    dets, kept = tail_nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5) and kept.shape == (0,) and kept.dtype == torch.int64


def test_suppressed_box_gets_a_low_score_by_its_overlap() -> None:
    dets, kept = tail_nms(BOXES, SCORES, 0.5)
    # 0.1 * 0.8 * (1 - 0.8) = 0.016
    assert kept.tolist() == [0, 2, 1]
    torch.testing.assert_close(dets[:, 4], torch.tensor([0.9, 0.05, 0.016]))
    torch.testing.assert_close(dets[:, :4], BOXES[kept])


@pytest.mark.parametrize("arguments, expected", [
    (dict(min_score=0.02), [0, 2]), (dict(tail=0.0), [0, 2]), (dict(max_num=1), [0]),
    (dict(nms_pre=2), [0, 1]), (dict(tail=1.0), [0, 1, 2]),
])
def test_arguments_limit_the_tail(arguments: dict[str, float], expected: list[int]) -> None:
    kept = tail_nms(BOXES, SCORES, 0.5, **arguments)[1]  # type: ignore[arg-type]
    assert kept.tolist() == expected


def test_detections_above_the_tail_are_those_of_nms() -> None:
    torch.manual_seed(0)
    corner = torch.rand(400, 2) * 100
    boxes = torch.cat([corner, corner + 5 + torch.rand(400, 2) * 40], dim=1)
    scores = torch.rand(400)
    dets, kept = tail_nms(boxes, scores, 0.5)
    high = kept[dets[:, 4] > 0.1]
    expected = nms(boxes, scores, 0.5)
    assert high.tolist() == expected[scores[expected] > 0.1].tolist()
    assert len(kept) > len(expected) > 20
