"""mmcv's CARAFE against manual examples and a reference with unfold."""

import pytest
import torch
from mmcv.ops import CARAFEPack, carafe, carafe_naive
from torch.nn.functional import interpolate, unfold

FUNCTIONS = pytest.mark.parametrize("function", [carafe, carafe_naive], ids=["fast", "naive"])


def unfolded(
    features: torch.Tensor, masks: torch.Tensor, kernel: int, groups: int, scale: int
) -> torch.Tensor:
    """Reference: unfold, upsample by nearest neighbor, multiply, sum."""
    n, c, h, w = features.shape
    windows = unfold(features, kernel, padding=kernel // 2).view(n, c * kernel**2, h, w)
    windows = interpolate(windows, scale_factor=scale, mode="nearest")
    windows = windows.view(n, groups, c // groups, kernel**2, h * scale, w * scale)
    weights = masks.view(n, groups, 1, kernel**2, h * scale, w * scale)
    return (windows * weights).sum(3).view(n, c, h * scale, w * scale)


def tensors(
    kernel: int, groups: int, scale: int, dtype: torch.dtype = torch.float32, images: int = 2
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(images, 4, 3, 2, generator=generator, dtype=torch.float64)
    masks = torch.rand(
        images, groups * kernel**2, 3 * scale, 2 * scale, generator=generator, dtype=torch.float64
    )
    return features.to(dtype).requires_grad_(), masks.to(dtype).requires_grad_()


@FUNCTIONS
def test_output_matches_manual_example(function) -> None:
    # Features 1 2 / 3 4, kernel 3, scale 2: output (y, x) reads around (y // 2, x // 2).
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    masks = torch.zeros(1, 9, 4, 4)
    masks[0, :, 0, 0] = 1  # around 1: the window has all four, the rest is outside: 10
    masks[0, 4, 1, 3] = 1  # tap 4 is the center; output (1, 3) is in feature (0, 1): 2
    masks[0, 3, 3, 3] = 0.5  # tap 3 is left of the center; feature (1, 1) -> 3: 1.5
    masks[0, 1, 2, 0] = 2  # tap 1 is above the center; feature (1, 0) -> 1: 2
    masks[0, 8, 3, 2] = 9  # tap 8 is below right of feature (1, 1): outside, 0
    result = function(features, masks, 3, 1, 2)
    expected = torch.zeros(4, 4)
    expected[0, 0], expected[1, 3], expected[3, 3], expected[2, 0] = 10, 2, 1.5, 2
    assert torch.equal(result[0, 0], expected)


@FUNCTIONS
@pytest.mark.parametrize(
    "kernel, groups, scale, images",
    [(3, 1, 2, 0), (1, 1, 1, 2), (3, 1, 2, 2), (5, 2, 2, 2), (3, 4, 3, 1)],
    ids=["no images", "identity window", "usual", "two groups", "scale 3"],
)
def test_output_matches_unfold_reference(function, kernel, groups, scale, images) -> None:
    features, masks = tensors(kernel, groups, scale, images=images)
    result = function(features, masks, kernel, groups, scale)
    if images == 0:
        assert result.shape == (0, 4, 6, 4)
        return
    expected = unfolded(features, masks, kernel, groups, scale)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_empty_batch_has_gradients() -> None:
    features, masks = tensors(3, 1, 2, images=0)
    carafe(features, masks, 3, 1, 2).sum().backward()
    assert features.grad.shape == features.shape and masks.grad.shape == masks.shape


@pytest.mark.parametrize(
    "kernel, groups, scale", [(3, 1, 2), (5, 2, 2), (3, 4, 3)], ids=["usual", "groups", "scale 3"]
)
def test_gradcheck_through_mmcvs_own_function(kernel: int, groups: int, scale: int) -> None:
    features, masks = tensors(kernel, groups, scale, torch.float64, images=1)
    assert torch.autograd.gradcheck(
        lambda *sources: carafe(*sources, kernel, groups, scale), (features, masks)
    )


def test_naive_gradients_match_carafe_gradients() -> None:
    # mmcv's naive Function has no backward on a CPU, so this calls the extension.
    from mmcv import _ext

    features, masks = tensors(3, 2, 2)
    output = carafe(features, masks, 3, 2, 2)
    expected = torch.autograd.grad(output.square().sum(), (features, masks))
    grads = [torch.full_like(tensor, 7) for tensor in (features, masks)]
    _ext.carafe_naive_backward(
        (2 * output).detach(), features.detach(), masks.detach(), *grads,
        kernel_size=3, group_size=2, scale_factor=2,
    )  # fmt: skip
    for actual, reference in zip(grads, expected):
        torch.testing.assert_close(actual, reference)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_sums_in_float32(dtype: torch.dtype) -> None:
    features, masks = tensors(3, 1, 2, dtype)
    result = carafe(features, masks, 3, 1, 2)
    expected = unfolded(features.float(), masks.float(), 3, 1, 2)
    assert result.dtype == dtype
    torch.testing.assert_close(result, expected.to(dtype), rtol=1e-2, atol=1e-2)
    result.sum().backward()
    assert features.grad.dtype == dtype


def test_module_trains_under_autocast() -> None:
    torch.manual_seed(0)
    layer = CARAFEPack(4, 2, compressed_channels=4)
    image = torch.randn(1, 4, 6, 6, requires_grad=True)
    expected = layer(image)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(image)
        result.float().square().mean().backward()
    torch.testing.assert_close(result.float(), expected, rtol=0.05, atol=0.05)
    for tensor in (image, *layer.parameters()):
        assert tensor.grad is not None and tensor.grad.isfinite().all()
