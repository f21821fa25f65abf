"""mmcv's RoIPool against torchvision where both have the same definition."""

import pytest
import torch
import torchvision

import detkit  # noqa: F401  (places the finder that mmcv.ops needs)

# image, integer corners: at scale 1 torchvision's rounding of corners has no effect
ROIS = torch.tensor(
    [[0, 0, 0, 8, 8], [1, 2, 1, 7, 4], [0, -3, -3, 20, 4], [1, 3, 3, 3, 3], [0, 50, 50, 60, 60]],
    dtype=torch.float64,
)


def random_map() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 9, 10, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("number", [0, 1, 5])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 7)], ids=str)
def test_pooling_matches_torchvision_at_integer_corners(size: tuple[int, int], number: int) -> None:
    from mmcv.ops import roi_pool

    features = random_map().requires_grad_()
    got = roi_pool(features, ROIS[:number], size, 1.0)
    expected = torchvision.ops.roi_pool(features, ROIS[:number], size, 1.0)
    assert torch.equal(got, expected)
    slope = torch.rand(expected.shape, dtype=torch.float64)
    (grad,) = torch.autograd.grad(got, features, slope)
    torch.testing.assert_close(grad, torch.autograd.grad(expected, features, slope)[0])


def test_fractional_corners_are_not_rounded() -> None:
    from mmcv.ops import roi_pool

    # From 1.25 to (3.5 + 1) * 0.5 = 2.25: the bin has pixels 1 and 2, as floor(1.25) = 1 and
    # ceil(2.25) = 3. Rounding the corners first would give round(1.25) = 1 to round(1.75) = 2.
    features = torch.arange(25.0).view(1, 1, 5, 5)
    rois = torch.tensor([[0, 2.5, 2.5, 3.5, 3.5]])
    assert roi_pool(features, rois, 1, 0.5).item() == 2 * 5 + 2
    # From 1.25 to 2.75, two bins: floor(1.25) = 1 to ceil(2) = 2, and floor(2) = 2 to 3
    rois = torch.tensor([[0, 2.5, 2.5, 4.5, 4.5]])
    assert roi_pool(features, rois, 2, 0.5).flatten().tolist() == [6, 7, 11, 12]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_non_finite_roi_gives_zero_and_no_gradient(value: float, side: int) -> None:
    from mmcv.ops import roi_pool

    features = random_map().requires_grad_()
    rois = ROIS[:2].clone()
    rois[0, side] = value
    got = roi_pool(features, rois, (3, 2), 1.0)
    assert not got[0].any()
    assert torch.equal(got[1:], roi_pool(features, ROIS[1:2], (3, 2), 1.0))
    got[0].sum().backward()
    assert not features.grad.any()


def test_gradient_holds_in_float64() -> None:
    from mmcv.ops import roi_pool

    features = random_map()[:, :1, :6, :7].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: roi_pool(x, ROIS, (3, 2), 0.7), features)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_under_autocast(dtype: torch.dtype) -> None:
    from mmcv.ops import roi_pool

    features = random_map().to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        got = roi_pool(features, ROIS.float(), (3, 2), 1.0)
    assert torch.equal(got.double(), roi_pool(features.double(), ROIS, (3, 2), 1.0))
    got.sum().backward()
    # 6 bins for each of 3 channels; RoI 4 is outside the map, RoI 2 has bins outside
    assert features.grad.sum() == (got != 0).sum()
