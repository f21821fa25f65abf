"""NMS of a batch in one call against mmcv's and torchvision's, image by image."""

import pytest
import torch
from mmcv.ops import batched_nms as mmcv_batched_nms
from torch import Tensor
from torchvision.ops import batched_nms as torchvision_batched_nms

from detkit.inference.graph.batched_nms import INVALID_SCORE, BatchedNMS, build_class_nms
from detkit.ops.tail_nms import add_to_mmcv

INPUT_HW = (96, 128)


def random_boxes(batch: int, count: int, seed: int = 0) -> Tensor:
    """(B, N, 4) boxes within the input, some of them without area."""
    torch.manual_seed(seed)
    limits = torch.tensor([128.0, 96.0])
    corner = torch.rand(batch, count, 2) * limits
    size = torch.rand(batch, count, 2) * 40
    size[:, ::17] = 0
    return torch.cat([corner, torch.minimum(corner + size, limits)], dim=-1)


def keep(select: BatchedNMS, boxes: Tensor, scores: Tensor, group: Tensor) -> list[list[int]]:
    best, indices = select(boxes, scores, group)
    assert (best.diff(dim=1) <= 0).all()
    return [row[value > INVALID_SCORE].tolist() for row, value in zip(indices, best)]


@pytest.mark.parametrize("groups", [1, 2, 5, 80])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_kept_boxes_match_mmcv_and_torchvision(groups: int, threshold: float) -> None:
    boxes = random_boxes(3, 400, seed=groups)
    scores = torch.rand(3, 400)
    group = torch.randint(groups, (3, 400))
    result = keep(BatchedNMS(threshold, 400, INPUT_HW, groups), boxes, scores, group)
    for image in range(3):
        arguments = boxes[image], scores[image], group[image]
        _, mmcv = mmcv_batched_nms(*arguments, dict(type="nms", iou_threshold=threshold))
        assert result[image] == mmcv.tolist()
        assert result[image] == torchvision_batched_nms(*arguments, threshold).tolist()
        assert 20 < len(result[image]) <= 400


def test_max_per_img_keeps_highest_scores() -> None:
    boxes, scores = random_boxes(2, 300), torch.rand(2, 300)
    group = torch.randint(4, (300,))
    all_kept = keep(BatchedNMS(0.5, 300, INPUT_HW, 4), boxes, scores, group)
    assert [len(item) > 7 for item in all_kept] == [True, True]
    assert keep(BatchedNMS(0.5, 7, INPUT_HW, 4), boxes, scores, group) == [
        item[:7] for item in all_kept]


def test_invalid_candidates_are_ignored() -> None:
    boxes, scores = random_boxes(1, 50), torch.rand(1, 50)
    group = torch.zeros(50, dtype=torch.long)
    scores[0, ::2] = INVALID_SCORE
    rest = torch.arange(1, 50, 2)
    expected = rest[torchvision_batched_nms(boxes[0, rest], scores[0, rest], group[rest], 0.5)]
    assert keep(BatchedNMS(0.5, 50, INPUT_HW, 1), boxes, scores, group) == [expected.tolist()]


def test_no_candidates_give_no_results() -> None:
    scores = torch.full((2, 30), INVALID_SCORE)
    group = torch.zeros(2, 30, dtype=torch.long)
    assert keep(BatchedNMS(0.5, 10, INPUT_HW, 3), random_boxes(2, 30), scores, group) == [[], []]


def test_one_of_equal_boxes_is_kept_per_group() -> None:
    # Two groups of two equal boxes each; which of the two is kept is not defined.
    boxes = torch.tensor([[[10.0, 10, 50, 50]] * 4])
    group = torch.tensor([[0, 0, 1, 1]])
    result = keep(BatchedNMS(0.5, 4, INPUT_HW, 2), boxes, torch.full((1, 4), 0.5), group)
    assert sorted(int(group[0, index]) for index in result[0]) == [0, 1]


def test_iou_equal_to_threshold_is_kept() -> None:
    # 10 x 10 and 10 x 6: intersection 60, union 100.
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 6]]])
    scores, group = torch.tensor([[0.9, 0.8]]), torch.zeros(1, 2, dtype=torch.long)
    assert keep(BatchedNMS(0.6, 2, INPUT_HW, 1), boxes, scores, group) == [[0, 1]]
    assert keep(BatchedNMS(0.59, 2, INPUT_HW, 1), boxes, scores, group) == [[0]]


@pytest.mark.parametrize("nms_pre", [40, 500])
def test_tail_nms_of_a_batch_matches_mmcv(nms_pre: int) -> None:
    boxes, scores = random_boxes(3, 300), torch.rand(3, 300)
    group = torch.randint(4, (3, 300))
    add_to_mmcv()
    cfg = dict(type="tail_nms", iou_threshold=0.4, nms_pre=nms_pre, tail=0.2)
    select = build_class_nms(cfg, "test_cfg", 300, INPUT_HW, 4)
    best, indices = select(boxes, scores, group)
    for image in range(3):
        dets, expected = mmcv_batched_nms(boxes[image], scores[image], group[image], cfg)
        valid = best[image] > INVALID_SCORE
        assert indices[image][valid].tolist() == expected.tolist()
        torch.testing.assert_close(best[image][valid], dets[:, 4])
        assert len(expected) > 30
