"""mmcv's NMS functions against torchvision and manual examples."""

import math

import pytest
import torch
import torchvision
from torch import Tensor

import detkit  # noqa: F401  (num_groups the finder that mmcv.ops needs)


def random_boxes(number: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    corner = torch.rand(number, 2, generator=generator, dtype=torch.float64) * 80
    side = torch.rand(number, 2, generator=generator, dtype=torch.float64) * 30 + 1
    scores = torch.rand(number, generator=generator, dtype=torch.float64)
    return torch.cat((corner, corner + side), 1).to(dtype), scores.to(dtype)


# IoU of the first two: 10 x 10 boxes shifted by (0, 5): 50 / (100 + 100 - 50) = 1/3.
PAIR = torch.tensor([[0.0, 0, 10, 10], [0, 5, 10, 15], [40, 40, 50, 50]])
SCORES = torch.tensor([0.9, 0.8, 0.7])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("number", [0, 1, 200])
def test_nms_matches_torchvision(number: int, dtype: torch.dtype) -> None:
    from mmcv.ops import nms

    boxes, scores = random_boxes(number, dtype)
    dets, kept = nms(boxes, scores, 0.4)
    expected = torchvision.ops.nms(boxes, scores, 0.4)
    assert kept.tolist() == expected.tolist()
    assert torch.equal(dets, torch.cat((boxes, scores[:, None]), 1)[expected])


@pytest.mark.parametrize("number", [900, 3000])
@pytest.mark.parametrize("num_groups", [1, 5, 40], ids="{} groups".format)
def test_nms_of_disjoint_groups_matches_torchvision(number: int, num_groups: int) -> None:
    from mmcv.ops import nms

    boxes, scores = random_boxes(number)
    # Every fifth box touches the edge of the next group, and scores are often equal.
    boxes[::5, 2] = 111
    boxes += 111 * (torch.arange(number) % num_groups)[:, None]
    scores = scores.mul(50).round() / 50
    expected = torchvision.ops.nms(boxes, scores, 0.4)
    assert 0 < len(expected) < number
    assert nms(boxes, scores, 0.4)[1].tolist() == expected.tolist()


@pytest.mark.parametrize("value", [math.nan, math.inf, -5.0], ids=str)
def test_nms_with_non_finite_box_matches_torchvision(value: float) -> None:
    from mmcv.ops import nms

    boxes, scores = random_boxes(1000)
    boxes += 111 * (torch.arange(1000) % 5)[:, None]
    boxes[17, 2] = value
    assert nms(boxes, scores, 0.4)[1].tolist() == torchvision.ops.nms(boxes, scores, 0.4).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_nms_takes_half_precision_under_autocast(dtype: torch.dtype) -> None:
    from mmcv.ops import nms

    with torch.autocast("cpu", dtype):
        assert nms(PAIR.to(dtype), SCORES.to(dtype), 0.3)[1].tolist() == [0, 2]


def test_nms_with_offset_counts_the_last_pixel() -> None:
    from mmcv.ops import nms

    # with offset 1: 11 x 11 boxes, 11 x 6 shared: 66 / (242 - 66) = 0.375; without it 1/3
    assert nms(PAIR, SCORES, 0.35, offset=0)[1].tolist() == [0, 1, 2]
    assert nms(PAIR, SCORES, 0.35, offset=1)[1].tolist() == [0, 2]


def test_iou_equal_to_threshold_is_kept() -> None:
    from mmcv.ops import nms

    # 10 x 6 of 10 x 10 is 0.6, which float32 rounds up, above the float64 number 0.6
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6]])
    assert nms(boxes, SCORES[:2], 0.6)[1].tolist() == [0, 1]


SOFT = {
    # the second overlaps the first by 1/3
    "naive": (0.3, 0.5, [0.9, 0.7], [0, 2]),
    "linear": (0.3, 0.5, [0.9, 0.7, 0.8 * 2 / 3], [0, 2, 1]),
    "linear, under the threshold": (0.4, 0.5, [0.9, 0.8, 0.7], [0, 1, 2]),
    "gaussian": (0.3, 0.5, [0.9, 0.7, 0.8 * math.exp(-1 / 9 / 0.5)], [0, 2, 1]),
}


@pytest.mark.parametrize("case", SOFT)
def test_soft_nms_lowers_scores(case: str) -> None:
    from mmcv.ops import soft_nms

    threshold, sigma, scores, order = SOFT[case]
    dets, kept = soft_nms(PAIR, SCORES, threshold, sigma, method=case.split(",")[0])
    assert kept.tolist() == order
    torch.testing.assert_close(dets[:, 4], torch.tensor(scores))
    assert torch.equal(dets[:, :4], PAIR[order])


@pytest.mark.parametrize("number", [0, 1, 120])
@pytest.mark.parametrize("threshold", [0.2, 0.6])
def test_naive_soft_nms_is_nms(number: int, threshold: float) -> None:
    from mmcv.ops import soft_nms

    boxes, scores = random_boxes(number, torch.float64)
    kept = soft_nms(boxes, scores, threshold, min_score=1e-9, method="naive")[1]
    assert kept.tolist() == torchvision.ops.nms(boxes, scores, threshold).tolist()


def test_soft_nms_applies_offset_and_min_score() -> None:
    from mmcv.ops import soft_nms

    # offset 1: IoU 0.375, so 0.8 becomes 0.5, which is under 0.51
    dets, kept = soft_nms(PAIR, SCORES, 0.35, min_score=0.51, offset=1)
    assert kept.tolist() == [0, 2]
    dets, kept = soft_nms(PAIR, SCORES, 0.35, min_score=0.49, offset=1)
    assert kept.tolist() == [0, 2, 1]
    assert dets[2, 4].item() == pytest.approx(0.5)


def test_soft_nms_keeps_first_box_below_min_score() -> None:
    from mmcv.ops import soft_nms

    assert soft_nms(PAIR, SCORES * 1e-6, min_score=1e-3)[1].tolist() == [0]


def test_soft_nms_tie_order_matches_mmcv() -> None:
    from mmcv.ops import soft_nms

    # box 0 drops its duplicate 1, and box 4 moves to its position: then all scores are equal
    apart = torch.tensor([[0.0, 0, 4, 4]]).repeat(5, 1)
    apart[2:] += torch.tensor([[10.0], [20], [30]])
    scores = torch.tensor([0.9, 0.5, 0.5, 0.5, 0.5])
    assert soft_nms(apart, scores, 0.5, method="naive")[1].tolist() == [0, 4, 2, 3]


def test_nms_match_groups_suppressed_boxes_with_kept_one() -> None:
    from mmcv.ops import nms_match

    dets = torch.cat((PAIR, SCORES[:, None]), 1)
    dets = torch.cat((dets, torch.tensor([[0.0, 1, 10, 11, 0.95]])))
    # box 3 is best: IoU with 0 is 90 / 110, with 1 it is 60 / 140 = 0.43
    groups = [group.tolist() for group in nms_match(dets, 0.4)]
    assert groups == [[3, 0, 1], [2]]
    assert [group.tolist() for group in nms_match(dets, 0.5)] == [[3, 0], [1], [2]]
    assert nms_match(dets[:0], 0.5) == []


def test_nms_match_suppresses_at_threshold() -> None:
    from mmcv.ops import nms_match

    dets = torch.tensor([[0.0, 0, 10, 10, 0.9], [0, 0, 10, 5, 0.8]])
    assert [group.tolist() for group in nms_match(dets, 0.5)] == [[0, 1]]


def test_batched_nms_keeps_classes_apart() -> None:
    from mmcv.ops import batched_nms

    labels = torch.tensor([0, 1, 0])
    config = {"type": "nms", "iou_threshold": 0.3}
    assert batched_nms(PAIR, SCORES, labels, config)[1].tolist() == [0, 1, 2]
    assert batched_nms(PAIR, SCORES, labels, config, True)[1].tolist() == [0, 2]


def test_line_nms_suppresses_close_lines() -> None:
    from mmcv.ops import line_nms

    # 5 numbers (start y 0, length 4 strips), then x at 4 heights; distances 2 and 50 pixels
    def line(x: float) -> list[float]:
        return [0, 0, 0, 0, 4, x, x, x, x]

    lines = torch.tensor([line(100), line(102), line(150)])
    kept, count, owner = line_nms(lines, torch.tensor([0.5, 0.9, 0.7]), 10.0, 5)
    assert kept[:count].tolist() == [1, 2]
    assert owner.tolist() == [1, 1, 2]
    assert line_nms(lines, torch.tensor([0.5, 0.9, 0.7]), 10.0, 1)[1].item() == 1
    assert line_nms(lines[:0], torch.zeros(0), 10.0, 5)[1].item() == 0
