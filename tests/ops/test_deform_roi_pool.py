"""mmcv's deformable RoI pooling, against torchvision's RoIAlign of shifted boxes."""

import pytest
import torch
import torchvision
from mmcv.ops import ModulatedDeformRoIPoolPack, deform_roi_pool

ROIS = torch.tensor(
    [[0, 2, 3, 30, 20], [1, 0, 0, 8, 8], [1, 10, 5, 25, 45], [0, -3, -4, 60, 50]],
    dtype=torch.float64,
)


def features(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 12, 14, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("ratio", [0, 2], ids=["adaptive", "two points"])
def test_without_offsets_matches_roi_align(ratio: int) -> None:
    source = features().requires_grad_()
    output = deform_roi_pool(source, ROIS, None, (3, 2), 0.25, ratio, 0.1)
    expected_output = torchvision.ops.roi_align(source, ROIS, (3, 2), 0.25, ratio, aligned=True)
    torch.testing.assert_close(output, expected_output)
    actual, reference = (torch.autograd.grad(x.square().sum(), source)[0]
                         for x in (output, expected_output))
    torch.testing.assert_close(actual, reference)


def test_offsets_move_bins_relative_to_roi_size() -> None:
    # gamma 0.1 and offsets (x, y) = (2, -1) everywhere: the box moves by 0.2 of its width and
    # by -0.1 of its height.
    offset = torch.tensor([2.0, -1.0], dtype=torch.float64).view(1, 2, 1, 1).expand(4, 2, 3, 2)
    output = deform_roi_pool(features(), ROIS, offset.contiguous(), (3, 2), 0.25, 2, 0.1)
    moved = ROIS.clone()
    width, height = (ROIS[:, 3] - ROIS[:, 1], ROIS[:, 4] - ROIS[:, 2])
    moved[:, 1::2] += 0.2 * width[:, None]
    moved[:, 2::2] -= 0.1 * height[:, None]
    expected_output = torchvision.ops.roi_align(features(), moved, (3, 2), 0.25, 2, aligned=True)
    torch.testing.assert_close(output, expected_output)


def test_gradcheck_through_mmcvs_own_function() -> None:
    generator = torch.Generator().manual_seed(0)
    offset = torch.randn(3, 2, 3, 2, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda source, offset: deform_roi_pool(source, ROIS[:3], offset, (3, 2), 0.25, 0, 0.5),
        (features().requires_grad_(), offset),
    )


def test_small_batches_of_rois_give_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from detkit.ops import deform_roi_pool as module

    unbatched = deform_roi_pool(features(), ROIS, None, (3, 2), 0.25, 2, 0.1)
    monkeypatch.setattr(module, "MAX_SAMPLES_PER_BATCH", 1)
    assert torch.equal(deform_roi_pool(features(), ROIS, None, (3, 2), 0.25, 2, 0.1), unbatched)


@pytest.mark.parametrize(
    "rois",
    [torch.zeros(0, 5), torch.tensor([[0.0, 5, 5, 5, 5]]), torch.tensor([[0.0, 9, 9, 5, 5]])],
    ids=["no region", "no size", "inside out"],
)
def test_rois_without_points_give_zeros(rois: torch.Tensor) -> None:
    source = features(torch.float32).requires_grad_()
    result = deform_roi_pool(source, rois, None, (3, 2), 0.25, 0, 0.1)
    assert result.shape == (len(rois), 3, 3, 2) and not result.any()
    result.sum().backward()
    assert not source.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_pools_in_float32(dtype: torch.dtype) -> None:
    source = features(dtype)
    result = deform_roi_pool(source, ROIS.to(dtype), None, (3, 2), 0.25, 2, 0.1)
    rois = ROIS.to(dtype).float()
    expected = torchvision.ops.roi_align(source.float(), rois, (3, 2), 0.25, 2, True)
    assert result.dtype == dtype
    torch.testing.assert_close(result, expected.to(dtype), rtol=1e-2, atol=1e-2)


def test_module_trains_under_autocast() -> None:
    torch.manual_seed(0)
    layer = ModulatedDeformRoIPoolPack((3, 2), 3, deform_fc_channels=8, spatial_scale=0.25)
    source = features(torch.float32).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        layer(source, ROIS.float()).square().mean().backward()
    assert source.grad.isfinite().all() and source.grad.any()
