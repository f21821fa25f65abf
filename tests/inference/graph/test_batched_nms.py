"""Suppression for a whole batch in one call against mmcv's and torchvision's, image by image."""

import pytest
import torch
from mmcv.ops import batched_nms as mmcv_batched_nms
from torch import Tensor
from torchvision.ops import batched_nms as torchvision_batched_nms

from detkit.inference.graph.batched_nms import NOTHING, Select

CANVAS = (96, 128)


def boxes_of(batch: int, number: int, seed: int = 0) -> Tensor:
    """(B, N, 4) boxes within the canvas, some of them without any area."""
    torch.manual_seed(seed)
    limits = torch.tensor([128.0, 96.0])
    corner = torch.rand(batch, number, 2) * limits
    size = torch.rand(batch, number, 2) * 40
    size[:, ::17] = 0
    return torch.cat([corner, torch.minimum(corner + size, limits)], dim=-1)


def kept(select: Select, boxes: Tensor, scores: Tensor, group: Tensor) -> list[list[int]]:
    best, places = select(boxes, scores, group)
    assert (best.diff(dim=1) <= 0).all()
    return [row[value > NOTHING].tolist() for row, value in zip(places, best)]


@pytest.mark.parametrize("groups", [1, 2, 5, 80])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_keeps_what_mmcv_and_torchvision_keep(groups: int, threshold: float) -> None:
    boxes = boxes_of(3, 400, seed=groups)
    scores = torch.rand(3, 400)
    group = torch.randint(groups, (3, 400))
    found = kept(Select(threshold, 400, CANVAS, groups), boxes, scores, group)
    for image in range(3):
        arguments = boxes[image], scores[image], group[image]
        _, mmcv = mmcv_batched_nms(*arguments, dict(type="nms", iou_threshold=threshold))
        assert found[image] == mmcv.tolist()
        assert found[image] == torchvision_batched_nms(*arguments, threshold).tolist()
        assert 20 < len(found[image]) <= 400


def test_only_the_best_are_kept_where_there_are_more_than_wanted() -> None:
    boxes, scores = boxes_of(2, 300), torch.rand(2, 300)
    group = torch.randint(4, (300,))
    all_of_them = kept(Select(0.5, 300, CANVAS, 4), boxes, scores, group)
    assert [len(one) > 7 for one in all_of_them] == [True, True]
    assert kept(Select(0.5, 7, CANVAS, 4), boxes, scores, group) == [
        one[:7] for one in all_of_them]


def test_what_is_no_candidate_is_neither_kept_nor_suppresses() -> None:
    boxes, scores = boxes_of(1, 50), torch.rand(1, 50)
    group = torch.zeros(50, dtype=torch.long)
    scores[0, ::2] = NOTHING
    rest = torch.arange(1, 50, 2)
    wanted = rest[torchvision_batched_nms(boxes[0, rest], scores[0, rest], group[rest], 0.5)]
    assert kept(Select(0.5, 50, CANVAS, 1), boxes, scores, group) == [wanted.tolist()]


def test_nothing_is_kept_of_nothing() -> None:
    scores = torch.full((2, 30), NOTHING)
    group = torch.zeros(2, 30, dtype=torch.long)
    assert kept(Select(0.5, 10, CANVAS, 3), boxes_of(2, 30), scores, group) == [[], []]


def test_of_equal_boxes_with_equal_scores_one_is_kept_in_each_group() -> None:
    # Two groups of two equal boxes each: which of the two stays is not said.
    boxes = torch.tensor([[[10.0, 10, 50, 50]] * 4])
    group = torch.tensor([[0, 0, 1, 1]])
    found = kept(Select(0.5, 4, CANVAS, 2), boxes, torch.full((1, 4), 0.5), group)
    assert sorted(int(group[0, place]) for place in found[0]) == [0, 1]


def test_an_overlap_of_just_the_threshold_is_allowed() -> None:
    # 10 x 10 and 10 x 6 of it: intersection 60, union 100.
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 6]]])
    scores, group = torch.tensor([[0.9, 0.8]]), torch.zeros(1, 2, dtype=torch.long)
    assert kept(Select(0.6, 2, CANVAS, 1), boxes, scores, group) == [[0, 1]]
    assert kept(Select(0.59, 2, CANVAS, 1), boxes, scores, group) == [[0]]
