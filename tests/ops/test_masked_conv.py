"""mmcv's masked convolution: the plain convolution at the masked points, 0 elsewhere."""

import pytest
import torch
from mmcv.ops import MaskedConv2d, masked_conv2d
from torch.nn.functional import conv2d

MASKS = {
    "no point": torch.zeros(1, 5, 6),
    "one corner": torch.zeros(1, 5, 6).index_put(
        (torch.tensor(0), torch.tensor(4), torch.tensor(5)), torch.tensor(1.0)
    ),
    "every second": (torch.arange(30) % 2).view(1, 5, 6).float(),
    "every point": torch.ones(1, 5, 6),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("kernel, padding", [(1, 0), (3, 1), (5, 2)])
def test_masked_points_match_plain_convolution(
    mask: torch.Tensor, kernel: int, padding: int
) -> None:
    torch.manual_seed(0)
    image, bias = torch.randn(1, 3, 5, 6), torch.randn(2)
    weight = torch.randn(2, 3, kernel, kernel)
    result = masked_conv2d(image, mask, weight, bias, padding)
    expected = conv2d(image, weight, bias, padding=padding) * mask
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_padding_that_changes_the_size() -> None:
    # No padding: output (h, w) of the plain 3x3 convolution covers rows h..h+2.
    torch.manual_seed(0)
    image, weight, bias = torch.randn(1, 3, 5, 6), torch.randn(2, 3, 3, 3), torch.zeros(2)
    mask = torch.zeros(1, 5, 6)
    mask[0, 2, 3] = 1
    result = masked_conv2d(image, mask, weight, bias, 0)
    assert result.shape == (1, 2, 3, 4)
    torch.testing.assert_close(result[..., 2, 3], conv2d(image, weight, bias)[..., 2, 3])


def test_point_outside_output_raises() -> None:
    image, weight, bias = torch.randn(1, 3, 5, 6), torch.randn(2, 3, 3, 3), torch.zeros(2)
    with pytest.raises(IndexError):
        masked_conv2d(image, torch.ones(1, 5, 6), weight, bias, 0)


def test_columns_match_manual_example() -> None:
    # 0 1 2 / 3 4 5, 3x3 window with padding 1 around (0, 2):
    # row -1: 0 0 0; row 0: 1 2 (out) 0; row 1: 4 5 0.
    from mmcv import _ext

    image, columns = torch.arange(6.0).view(1, 1, 2, 3), torch.full((9, 1), -1.0)
    point = (torch.tensor([0]), torch.tensor([2]))
    _ext.masked_im2col_forward(
        image, *point, columns, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1
    )
    assert columns[:, 0].tolist() == [0, 0, 0, 1, 2, 0, 4, 5, 0]


def test_no_points_by_extension_function() -> None:
    # mmcv does not call it then; other callers may.
    from mmcv import _ext

    none, image = torch.zeros(0, dtype=torch.long), torch.ones(1, 2, 3, 3)
    columns = torch.empty(18, 0)
    _ext.masked_im2col_forward(
        image, none, none, columns, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1
    )
    _ext.masked_col2im_forward(
        torch.empty(2, 0), none, none, image, height=3, width=3, channels=2
    )
    assert image.eq(1).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_module_in_other_precisions(dtype: torch.dtype) -> None:
    layer = MaskedConv2d(3, 2, 3, padding=1).to(dtype)
    image = torch.randn(1, 3, 5, 6, dtype=dtype)
    result = layer(image, MASKS["every point"])
    torch.testing.assert_close(result, layer(image), rtol=0.02, atol=0.02)


def test_autocast() -> None:
    layer, image = MaskedConv2d(3, 2, 3, padding=1), torch.randn(1, 3, 5, 6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        result = layer(image, MASKS["every point"])
    torch.testing.assert_close(result.float(), layer(image), rtol=0.05, atol=0.05)
