"""mmcv's corner pooling works without its extension."""

import pytest
import torch
from mmcv.ops import CornerPool

# Each output is the maximum from its position to the named border, of
# 3 1 2
# 0 5 4
EXPECTED = {
    "top": [[3, 5, 4], [0, 5, 4]],  # maximum of the values below
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
    # The gradient 1 of each output goes to the position of its maximum.
    assert image.grad is not None and image.grad.sum() == 6


def test_empty_batch() -> None:
    assert CornerPool("top")(torch.zeros(0, 2, 3, 3)).shape == (0, 2, 3, 3)
