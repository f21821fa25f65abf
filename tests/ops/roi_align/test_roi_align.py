"""RoIAlign's average through mmcv's public function, against torchvision's."""

import pytest
import torch
import torchvision
from torch import Tensor

import detkit  # noqa: F401  (places the finder that mmcv.ops needs)
from detkit.ops.roi_align import roi_align as dispatch
from detkit.ops.roi_align.sparse_average import roi_align_avg_backward, roi_align_avg_forward

HEIGHT, WIDTH = 13, 17


def random_map(dtype: torch.dtype = torch.float32, channels: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, channels, HEIGHT, WIDTH, generator=generator, dtype=torch.float64)
    return features.to(dtype)


def rois_of(*boxes: tuple[float, ...]) -> Tensor:
    return torch.tensor([(0, *box) for box in boxes], dtype=torch.float64).reshape(-1, 5)


def scattered() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(60, 2, generator=generator, dtype=torch.float64) * 70 - 8
    side = torch.rand(60, 2, generator=generator, dtype=torch.float64) ** 3 * 90
    image = torch.arange(60)[:, None] % 2
    return torch.cat((image, corner, corner + side), 1)


# image pixels, four for a map pixel: the map has width 68 and height 52
ROIS = {
    "none": rois_of(),
    "one": rois_of((3, 5, 30, 21)),
    "scattered": scattered(),
    "the whole map and more": rois_of((0, 0, 68, 52), (-40, -40, 200, 200)),
    "nowhere near the map": rois_of((-90, -90, -60, -60), (300, 10, 320, 20), (10, 400, 30, 430)),
    "on the map's edges": rois_of((-4, -4, 0, 0), (64, 48, 72, 56), (-2, -2, 70, 54)),
    "without area": rois_of((8, 8, 8, 8), (8, 8, 8, 30), (8, 8, 30, 8)),
    "turned over both ways": rois_of((30, 30, 10, 10)),
    "long and thin": rois_of((0, 20, 68, 22), (20, 0, 21, 52)),
    "whole numbers of bins": rois_of((2, 2, 30, 30), (2, 2, 58, 30)),
}


def compare_with_torchvision(
    features: Tensor, rois: Tensor, scale: float, ratio: int, aligned: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Output and gradient of sparse_average, at any size, and of torchvision."""
    size = (7, 5)
    expected = torchvision.ops.roi_align(
        features.requires_grad_(), rois, size, scale, ratio, aligned
    )
    slope = torch.rand(expected.shape, generator=torch.Generator().manual_seed(1)).to(expected)
    (expected_grad,) = torch.autograd.grad(expected, features, slope)
    output = torch.full_like(expected, torch.nan)
    roi_align_avg_forward(features.detach(), rois, output, scale, ratio, aligned)
    grad = torch.full_like(features, torch.nan).detach()
    roi_align_avg_backward(slope, rois, grad, scale, ratio, aligned)
    return [output.detach(), grad], [expected.detach(), expected_grad]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("aligned", [True, False], ids=["aligned", "not aligned"])
@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("case", [name for name in ROIS if name != "none"])
def test_average_matches_torchvision(case: str, ratio: int, aligned: bool,
                                     dtype: torch.dtype) -> None:
    rois = ROIS[case].to(dtype)
    actual, expected_output = compare_with_torchvision(random_map(dtype), rois, 0.25, ratio,
                                                       aligned)
    for got, expected in zip(actual, expected_output):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_average_matches_torchvision_at_odd_scale() -> None:
    actual, expected_output = compare_with_torchvision(random_map(), ROIS["scattered"].float(),
                                                       13 / 50, 0, True)
    for got, expected in zip(actual, expected_output):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("use_cpu_kernel", [True, False], ids=["detkit", "torchvision"])
def test_non_finite_box_gives_zeros_and_no_gradient(
    use_cpu_kernel: bool, mode: str, ratio: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    force_kernel(monkeypatch, use_cpu_kernel)
    rois = rois_of((torch.nan, 0, 9, 9), (0, 0, torch.inf, 9)).float()
    rois[1, 0] = torch.nan
    assert_zeros(rois, ratio, mode)


@pytest.mark.parametrize("use_cpu_kernel", [True, False], ids=["detkit", "torchvision"])
def test_inverted_box_gives_zeros(use_cpu_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # torchvision's kernel requests a negative amount of memory and raises
    force_kernel(monkeypatch, use_cpu_kernel)
    assert_zeros(rois_of((30, 5, 10, 20), (5, 30, 10, 20)).float(), 0, "avg")


def force_kernel(monkeypatch: pytest.MonkeyPatch, use_cpu_kernel: bool) -> None:
    for limit in ("FORWARD_MIN_VALUES", "BACKWARD_MIN_VALUES"):
        monkeypatch.setattr(dispatch, limit, -(10**12) if use_cpu_kernel else 10**12)


def assert_zeros(rois: Tensor, ratio: int, mode: str) -> None:
    from mmcv.ops import roi_align

    features = random_map().requires_grad_()
    output = roi_align(features, rois, 7, 0.25, ratio, mode, True)
    output.sum().backward()
    assert not output.any()
    assert not features.grad.any()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("use_cpu_kernel", [True, False], ids=["detkit", "torchvision"])
@pytest.mark.parametrize("case", ["none", "scattered"])
def test_mmcv_layer_gives_same_output_with_both_kernels(
    case: str, use_cpu_kernel: bool, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmcv.ops import RoIAlign

    force_kernel(monkeypatch, use_cpu_kernel)
    features = random_map().to(memory_format=layout).requires_grad_()
    rois = ROIS[case].float()
    got = RoIAlign(7, 0.25)(features, rois)
    expected = torchvision.ops.roi_align(features, rois, 7, 0.25, 0, True)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    # a gradient that is not contiguous, as from a head that transposes
    slope = torch.rand(expected.transpose(0, 1).shape).transpose(0, 1)
    (grad,) = torch.autograd.grad(got, features, slope)
    (expected_grad,) = torch.autograd.grad(expected, features, slope)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("aligned", [True, False], ids=["aligned", "not aligned"])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_gradients_hold_in_float64(
    mode: str, aligned: bool, ratio: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmcv.ops import roi_align

    force_kernel(monkeypatch, use_cpu_kernel=True)
    features = random_map(torch.float64, 1)[:1, :, :4, :5].requires_grad_()
    rois = rois_of((2, 3, 18, 14), (-9, -9, 30, 12))
    assert torch.autograd.gradcheck(
        lambda x: roi_align(x, rois, (3, 2), 0.25, ratio, mode, aligned), features
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("use_cpu_kernel", [True, False], ids=["detkit", "torchvision"])
def test_half_precision_is_float32_rounded_once(
    use_cpu_kernel: bool, mode: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmcv.ops import roi_align

    force_kernel(monkeypatch, use_cpu_kernel)
    features = random_map(dtype).requires_grad_()
    wide = features.detach().float().requires_grad_()
    rois = ROIS["scattered"].float()
    with torch.autocast("cpu", dtype):
        got = roi_align(features, rois, 7, 0.25, 0, mode)
    expected = roi_align(wide, rois, 7, 0.25, 0, mode)
    assert got.dtype == dtype
    assert torch.equal(got, expected.to(dtype))
    slope = torch.rand(expected.shape).to(dtype)
    (grad,) = torch.autograd.grad(got, features, slope)
    (expected_grad,) = torch.autograd.grad(expected, wide, slope.float())
    assert torch.equal(grad, expected_grad.to(dtype))


def test_result_is_independent_of_number_of_threads() -> None:
    threads = torch.get_num_threads()
    outcomes = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            outcomes.append(
                compare_with_torchvision(random_map(), ROIS["scattered"].float(), 0.25, 0, True)[0])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(first, second) for first, second in zip(*outcomes))


def test_max_takes_maximum_sample_of_bin() -> None:
    from mmcv.ops import roi_align

    # One bin from 0 to 2 on a 4 x 4 map, not aligned: samples at 0.5 and 1.5 along each axis.
    # (1, 1) is 8: each of the four samples has half a pixel distance along each axis, a quarter of
    # 8; (2, 2) is 4 and adds a quarter of 4 to the last: 3.
    features = torch.zeros(1, 1, 4, 4)
    features[0, 0, 1, 1], features[0, 0, 2, 2] = 8, 4
    features.requires_grad_()
    rois = torch.tensor([[0.0, 0, 0, 2, 2]])
    output = roi_align(features, rois, 1, 1.0, 0, "max", False)
    assert output.item() == 3
    output.backward()
    expected = torch.zeros(4, 4)
    expected[1:3, 1:3] = 0.25
    assert torch.equal(features.grad[0, 0], expected)


@pytest.mark.parametrize("aligned", [True, False], ids=["aligned", "not aligned"])
def test_max_of_one_sample_matches_average(aligned: bool) -> None:
    from mmcv.ops import roi_align

    results = []
    for mode in ("avg", "max"):
        features = random_map().requires_grad_()
        output = roi_align(features, ROIS["scattered"].float(), 7, 0.25, 1, mode, aligned)
        output.square().sum().backward()
        results.append((output.detach(), features.grad))
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)


def test_max_without_samples_is_zero_and_without_rois_empty() -> None:
    from mmcv.ops import roi_align

    features = random_map().requires_grad_()
    flat = roi_align(features, rois_of((8, 8, 8, 8)).float(), 7, 0.25, 0, "max", True)
    assert not flat.any()
    empty = roi_align(features, torch.zeros(0, 5), 7, 0.25, 0, "max", True)
    assert empty.shape == (0, 5, 7, 7)
    (flat.sum() + empty.sum()).backward()
    assert not features.grad.any()


def square_sum(mode: str, device: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The output on scattered RoIs, and the gradient of the sum of its squares; on the CPU.

    Corners are multiples of 1/8 pixel, with 8 bins along each axis and 2 x 2 samples: positions
    and weights are exact in float32, so that only sums are rounded.
    """
    features = random_map().to(device, dtype).requires_grad_()
    output = rounded_to_eighths(features, mode)
    output.square().sum().backward()
    return output.detach().cpu(), features.grad.cpu()


def rounded_to_eighths(features: Tensor, mode: str) -> Tensor:
    from mmcv.ops import roi_align

    rois = (ROIS["scattered"] * 8).round() / 8
    return roi_align(features, rois.to(features), 8, 0.25, 2, mode, True)


def rounding_bounds(mode: str) -> tuple[float, Tensor]:
    """Error bounds of float32 for the output and the gradient.

    A value of the output is a sum of weights, which sum to 1, times features: 16 terms, of four
    samples with four cells each, none above the highest feature. A cell's gradient is the sum of
    its weights times 2 * output, of at most 60 RoIs with 256 samples that may lie upon each other:
    what counts is the sum of their magnitudes. n additions in any order are off by sqrt(n) units
    in the last place of that sum, times a factor for the likelihood (Higham and Mary 2019,
    doi 10.1137/18M1226312, theorem 2.4): 4 stands for less than one in a thousand.
    """
    unit = torch.finfo(torch.float32).eps / 2
    features = random_map().double().requires_grad_()
    output = rounded_to_eighths(features, mode)
    of_output = 4 * 16**0.5 * unit * float(features.detach().abs().max())
    # d/df of sum(|2 output| * output) is the sum of the magnitudes, as no weight is below 0.
    magnitudes, = torch.autograd.grad((2 * output.detach().abs() * output).sum(), features,
                                      retain_graph=True)
    weights, = torch.autograd.grad(output.sum(), features)
    return of_output, 4 * (60 * 256) ** 0.5 * unit * magnitudes + 2 * of_output * weights


def assert_alike(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], mode: str) -> None:
    of_output, of_gradient = rounding_bounds(mode)
    assert (first[0] - second[0]).abs().max() <= of_output
    assert ((first[1] - second[1]).abs() <= of_gradient).all()


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_float32_error_is_within_summation_rounding(mode: str) -> None:
    exact = square_sum(mode, "cpu", torch.float64)
    assert_alike(square_sum(mode, "cpu", torch.float32), exact, mode)
    # The bounds are tight: far below the values.
    of_output, of_gradient = rounding_bounds(mode)
    assert of_output < 1e-4 * exact[0].abs().max()
    assert of_gradient.max() < 1e-4 * exact[1].abs().max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_gpu_matches_cpu(mode: str) -> None:
    # Both round, so that they may lie twice as far from each other as from the exact value; the
    # bounds' factor leaves that room.
    assert_alike(square_sum(mode, "cuda", torch.float32), square_sum(mode, "cpu", torch.float32),
                 mode)
