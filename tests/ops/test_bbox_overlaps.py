"""mmcv's bbox_overlaps against torchvision and manual examples."""

import pytest
import torch
import torchvision

import detkit  # noqa: F401  (places the finder that mmcv.ops needs)

FIRST = torch.tensor([[0.0, 0, 10, 10], [0, 0, 4, 5]])
SECOND = torch.tensor([[0.0, 5, 10, 15], [2, 2, 4, 4]])

# shared: 50 and 4 of the 10 x 10 box; 0 and 4 of the 4 x 5 box.
# with offset 1 the boxes are 11 x 11, 5 x 6, 11 x 11, 3 x 3; shared: 66, 9; 5 x 1, 9.
CASES = {
    "iou": ("iou", 0, [[50 / 150, 4 / 100], [0, 4 / 20]]),
    "iof": ("iof", 0, [[50 / 100, 4 / 100], [0, 4 / 20]]),
    "iou, offset": ("iou", 1, [[66 / 176, 9 / 121], [5 / 146, 9 / 30]]),
    "iof, offset": ("iof", 1, [[66 / 121, 9 / 121], [5 / 30, 9 / 30]]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_overlaps_match_manual_example(case: str, dtype: torch.dtype) -> None:
    from mmcv.ops import bbox_overlaps

    mode, offset, expected = CASES[case]
    table = torch.tensor(expected, dtype=dtype)
    got = bbox_overlaps(FIRST.to(dtype), SECOND.to(dtype), mode, offset=offset)
    torch.testing.assert_close(got, table)
    pairs = bbox_overlaps(FIRST.to(dtype), SECOND.to(dtype), mode, aligned=True, offset=offset)
    torch.testing.assert_close(pairs, table.diagonal())


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)], ids=str)
def test_no_boxes_give_empty_overlaps(shape: tuple[int, int]) -> None:
    from mmcv.ops import bbox_overlaps

    assert bbox_overlaps(torch.zeros(shape[0], 4), torch.zeros(shape[1], 4)).shape == shape


def test_overlaps_match_torchvision() -> None:
    from mmcv.ops import bbox_overlaps

    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(30, 2, generator=generator)
    boxes = torch.cat((corner, corner + torch.rand(30, 2, generator=generator)), 1)
    torch.testing.assert_close(
        bbox_overlaps(boxes[:10], boxes), torchvision.ops.box_iou(boxes[:10], boxes)
    )
