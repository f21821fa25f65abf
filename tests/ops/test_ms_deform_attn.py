"""mmcv's multi-scale deformable attention, against its reference in plain torch."""

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttention,
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)

LEVELS = [(5, 4), (3, 2), (1, 1)]


def tensors(
    images: int = 2, queries: int = 5, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, ...]:
    """Values, shapes, starts, locations (some outside 0..1) and weights of 2 heads, 2 points."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    shapes = torch.tensor(LEVELS)
    sizes = shapes.prod(1)
    value = random(images, int(sizes.sum()), 2, 3) - 0.5
    locations = random(images, queries, 2, 3, 2, 2) * 1.4 - 0.2
    weights = random(images, queries, 2, 3, 2)
    for tensor in (value, locations, weights):
        tensor.requires_grad_()
    return value, shapes, sizes.cumsum(0) - sizes, locations, weights


@pytest.mark.parametrize(
    "images, queries", [(0, 5), (2, 0), (2, 5), (3, 1)], ids=lambda value: str(value)
)
def test_output_and_gradients_match_mmcv_reference(images: int, queries: int) -> None:
    value, shapes, starts, locations, weights = tensors(images, queries)
    actual_output = MultiScaleDeformableAttnFunction.apply(
        value, shapes, starts, locations, weights, 64
    )
    assert actual_output.shape == (images, queries, 6)
    if images == 0:  # the reference itself fails on an empty batch
        return
    expected_output = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    torch.testing.assert_close(actual_output, expected_output, rtol=1e-6, atol=1e-6)
    sources = (value, locations, weights)
    for actual, reference in zip(
        torch.autograd.grad(actual_output.square().sum(), sources),
        torch.autograd.grad(expected_output.square().sum(), sources),
    ):
        torch.testing.assert_close(actual, reference, rtol=1e-5, atol=1e-5)


def test_empty_batch_has_gradients() -> None:
    value, shapes, starts, locations, weights = tensors(images=0)
    output = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)
    output.sum().backward()
    assert value.grad is not None and value.grad.shape == value.shape


def test_point_at_cell_center_reads_that_cell() -> None:
    # One level of 2 x 3 cells with values 0..5. Center of row 1, column 2 (value 5):
    # x = 2.5 / 3, y = 1.5 / 2. Weights 1 and 0.5, both there: 5 + 2.5 = 7.5.
    value = torch.arange(6.0).view(1, 6, 1, 1)
    locations = torch.tensor([2.5 / 3, 1.5 / 2]).expand(1, 1, 1, 1, 2, 2).contiguous()
    weights = torch.tensor([1.0, 0.5]).view(1, 1, 1, 1, 2)
    shapes, starts = torch.tensor([[2, 3]]), torch.tensor([0])
    result = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)
    torch.testing.assert_close(result, torch.tensor([[[7.5]]]))


def test_gradcheck_through_mmcvs_own_function() -> None:
    value, shapes, starts, locations, weights = tensors(1, 3, torch.float64)

    def attend(value, locations, weights):
        return MultiScaleDeformableAttnFunction.apply(
            value, shapes, starts, locations, weights, 64
        )

    assert torch.autograd.gradcheck(attend, (value, locations, weights))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_samples_in_float32(dtype: torch.dtype) -> None:
    value, shapes, starts, locations, weights = tensors(dtype=dtype)
    actual_output = MultiScaleDeformableAttnFunction.apply(
        value, shapes, starts, locations, weights, 64
    )
    wide = (tensor.float() for tensor in (locations, weights))
    expected_output = multi_scale_deformable_attn_pytorch(value.float(), shapes, *wide)
    assert actual_output.dtype == dtype
    torch.testing.assert_close(actual_output, expected_output.to(dtype), rtol=1e-2, atol=1e-2)
    actual_output.sum().backward()
    assert value.grad.dtype == dtype and value.grad.isfinite().all()


def test_autocast_does_not_change_result() -> None:
    arguments = tensors()
    expected = MultiScaleDeformableAttnFunction.apply(*arguments, 64)
    with torch.autocast("cpu", torch.bfloat16):
        result = MultiScaleDeformableAttnFunction.apply(*arguments, 64)
        result.sum().backward()
    assert torch.equal(result, expected)


def test_mmcv_module_trains() -> None:
    torch.manual_seed(0)
    layer = MultiScaleDeformableAttention(16, num_heads=2, num_levels=2, batch_first=True)
    shapes = torch.tensor([[4, 4], [2, 2]])
    query = torch.randn(2, 20, 16, requires_grad=True)
    references = torch.rand(2, 20, 2, 2)
    result = layer(
        query, reference_points=references, spatial_shapes=shapes,
        level_start_index=torch.tensor([0, 16]),
    )  # fmt: skip
    result.square().mean().backward()
    assert result.shape == (2, 20, 16) and query.grad.isfinite().all()
