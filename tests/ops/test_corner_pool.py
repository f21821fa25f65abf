"""mmcv's corner pools need nothing of its extension; they must work without it."""

import pytest
import torch
from mmcv.ops import CornerPool

# Each cell takes the greatest value from itself to the border it is named after, of
# 3 1 2
# 0 5 4
EXPECTED = {
    "top": [[3, 5, 4], [0, 5, 4]],  # the map is swept upwards: looks down
    "bottom": [[3, 1, 2], [3, 5, 4]],
    "left": [[3, 2, 2], [5, 5, 4]],
    "right": [[3, 3, 3], [0, 5, 5]],
}


@pytest.mark.parametrize("mode", EXPECTED)
def test_corner_pool_matches_manual_example_with_gradient(mode: str) -> None:
    image = torch.tensor([[[[3.0, 1, 2], [0, 5, 4]]]], requires_grad=True)
    result = CornerPool(mode)(image)
    assert result[0, 0].tolist() == EXPECTED[mode]
    result.sum().backward()
    # Every output cell sends its 1 to the cell it read.
    assert image.grad is not None and image.grad.sum() == 6


def test_empty_batch() -> None:
    assert CornerPool("top")(torch.zeros(0, 2, 3, 3)).shape == (0, 2, 3, 3)
