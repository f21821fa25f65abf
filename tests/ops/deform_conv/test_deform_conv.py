"""mmcv's deformable convolutions, v1 and v2, against torchvision's public function."""

from dataclasses import dataclass

import pytest
import torch
import torchvision
from mmcv.ops import (
    DeformConv2dPack,
    ModulatedDeformConv2dPack,
    deform_conv2d,
    modulated_deform_conv2d,
)


@dataclass
class Case:
    """One geometry; pairs are (y, x)."""

    batch: int = 2
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    deform_groups: int = 1
    kernel: tuple[int, int] = (3, 3)
    size: tuple[int, int] = (7, 6)

    def tensors(self, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)

        def ramp(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        channels, outputs = 4 * self.groups, 2 * self.groups
        taps = self.kernel[0] * self.kernel[1]
        p, q = (
            (size + 2 * pad - dil * (k - 1) - 1) // step + 1
            for size, pad, dil, k, step in zip(
                self.size, self.padding, self.dilation, self.kernel, self.stride
            )
        )
        tensors = {
            "input": ramp(self.batch, channels, *self.size),
            "offset": 2 * ramp(self.batch, 2 * self.deform_groups * taps, p, q),
            "weight": ramp(outputs, channels // self.groups, *self.kernel),
            "mask": ramp(self.batch, self.deform_groups * taps, p, q).sigmoid(),
            "bias": ramp(outputs),
        }
        return {name: tensor.requires_grad_() for name, tensor in tensors.items()}

    def v1(self, input, offset, weight, **unused):
        return deform_conv2d(
            input, offset, weight, self.stride, self.padding, self.dilation, self.groups,
            self.deform_groups,
        )  # fmt: skip

    def v2(self, input, offset, weight, mask, bias=None):
        return modulated_deform_conv2d(
            input, offset, mask, weight, bias, self.stride, self.padding, self.dilation,
            self.groups, self.deform_groups,
        )  # fmt: skip

    def torchvision(self, input, offset, weight, mask=None, bias=None):
        return torchvision.ops.deform_conv2d(
            input, offset, weight, bias, self.stride, self.padding, self.dilation, mask
        )


CASES = {
    "plain": Case(),
    "one image": Case(batch=1),
    "stride": Case(stride=(2, 1)),
    "padding": Case(padding=(0, 2)),
    "dilation": Case(dilation=(1, 2), padding=(1, 2)),
    "groups": Case(groups=2),
    "deform groups": Case(deform_groups=2),
    "groups and deform groups": Case(groups=2, deform_groups=4, stride=(2, 2)),
    "oblong kernel": Case(kernel=(1, 3), padding=(0, 1)),
    "two rounds of the kernel": Case(batch=64, size=(4, 3)),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def gradients(output: torch.Tensor, tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return list(torch.autograd.grad((output * weights).sum(), list(tensors.values())))


@cases
@pytest.mark.parametrize("version", ["v1", "v2", "v2 with bias"])
def test_output_and_gradients_match_torchvision(case: Case, version: str) -> None:
    tensors = case.tensors()
    names = {"v1": 3, "v2": 4, "v2 with bias": 5}[version]
    tensors = dict(list(tensors.items())[:names])
    actual_output = (case.v1 if version == "v1" else case.v2)(**tensors)
    expected_output = case.torchvision(**tensors)
    torch.testing.assert_close(actual_output, expected_output, rtol=0, atol=0)
    for actual, reference in zip(gradients(actual_output, tensors),
                                 gradients(expected_output, tensors)):
        torch.testing.assert_close(actual, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_gradcheck_through_mmcvs_own_function(version: str) -> None:
    case = Case(batch=1, groups=2, deform_groups=2, stride=(2, 1), size=(4, 3))
    tensors = case.tensors(torch.float64)
    if version == "v1":
        tensors = {name: tensors[name] for name in ("input", "offset", "weight")}
    function = case.v1 if version == "v1" else case.v2

    def positional(*values: torch.Tensor) -> torch.Tensor:
        return function(**dict(zip(tensors, values)))

    assert torch.autograd.gradcheck(positional, list(tensors.values()))


def test_weight_gradient_is_same_alone_and_with_others() -> None:
    case = Case(groups=2)
    tensors = {name: case.tensors()[name] for name in ("input", "offset", "weight")}
    together = gradients(case.v1(**tensors), tensors)[2]
    frozen = {**tensors, "input": tensors["input"].detach(), "offset": tensors["offset"].detach()}
    alone = gradients(case.v1(**frozen), {"weight": tensors["weight"]})[0]
    torch.testing.assert_close(alone, together, rtol=0, atol=0)


def test_second_backward_gives_same_gradients() -> None:
    tensors = {name: CASES["plain"].tensors()[name] for name in ("input", "offset", "weight")}
    output = CASES["plain"].v1(**tensors).sum()
    first = torch.autograd.grad(output, list(tensors.values()), retain_graph=True)
    second = torch.autograd.grad(output, list(tensors.values()))
    for first_grad, other in zip(first, second):
        torch.testing.assert_close(first_grad, other, rtol=0, atol=0)


def test_offset_of_one_pixel_reads_neighbor() -> None:
    # 1x1 kernel of weight 1, offset (y, x) = (0, 1) everywhere: each position reads the one to its
    # right, the last column reads outside: 0.
    image = torch.arange(1.0, 7.0).view(1, 1, 2, 3)  # 1 2 3 / 4 5 6
    offset = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 2, 3).contiguous()
    result = deform_conv2d(image, offset, torch.ones(1, 1, 1, 1))
    assert result.flatten().tolist() == [2, 3, 0, 5, 6, 0]


def test_zero_offsets_and_unit_mask_match_plain_convolution() -> None:
    tensors = Case(groups=2).tensors()
    with torch.no_grad():
        tensors["offset"].zero_()
        tensors["mask"].fill_(1)
    plain = torch.nn.functional.conv2d(
        tensors["input"], tensors["weight"], tensors["bias"], padding=1, groups=2
    )
    torch.testing.assert_close(Case(groups=2).v2(**tensors), plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_half_precision_is_rounded_float32(version: str, dtype: torch.dtype) -> None:
    case = CASES["groups"]
    tensors = case.tensors(dtype)
    wide = {name: tensor.detach().float().requires_grad_() for name, tensor in tensors.items()}
    if version == "v1":
        for group in (tensors, wide):
            del group["mask"], group["bias"]
    function = case.v1 if version == "v1" else case.v2
    actual_output, reference = function(**tensors), function(**wide)
    assert actual_output.dtype == dtype
    assert torch.equal(actual_output, reference.to(dtype))
    for actual, expected_output in zip(gradients(actual_output, tensors),
                                       gradients(reference, wide)):
        torch.testing.assert_close(actual.float(), expected_output, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("module", [DeformConv2dPack, ModulatedDeformConv2dPack])
def test_module_trains_under_autocast(module: type[torch.nn.Module]) -> None:
    torch.manual_seed(0)
    layer = module(4, 6, 3, padding=1)
    image = torch.randn(2, 4, 8, 8, requires_grad=True)
    expected = layer(image)
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(image)
        result.float().square().mean().backward()
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), expected, rtol=0.05, atol=0.05)
    for tensor in (image, *layer.parameters()):
        assert tensor.grad is not None and tensor.grad.isfinite().all()


def test_v2_with_oversized_offsets_matches_mmcv_memory_order() -> None:
    # 1x1 window of weight 1 over the row 10 20 30, so three outputs; offsets and mask of 2 x 3.
    # In memory the offsets are 0 0 0 | 1 0 -1 | ... : the first three are y, the next three x,
    # so the outputs read 20, 20, 20. The mask's first three are 1 2 3.
    row = torch.tensor([10.0, 20, 30]).view(1, 1, 1, 3)
    offset = torch.tensor([0.0, 0, 0, 1, 0, -1, 7, 7, 7, 7, 7, 7]).view(1, 2, 2, 3)
    mask = torch.arange(1.0, 7.0).view(1, 1, 2, 3)
    weight = torch.ones(1, 1, 1, 1)
    offset.requires_grad_(), mask.requires_grad_()
    result = modulated_deform_conv2d(row, offset, mask, weight)
    assert result.flatten().tolist() == [20, 40, 60]
    result.sum().backward()
    assert mask.grad.flatten().tolist() == [20, 20, 20, 0, 0, 0]
    # The slope of the row is 10 for a pixel, times each mask; unread values have gradient 0.
    assert offset.grad.flatten()[3:].tolist() == [10, 20, 30, 0, 0, 0, 0, 0, 0]


def test_too_few_offsets_raise() -> None:
    row, weight = torch.ones(1, 1, 2, 3), torch.ones(1, 1, 1, 1)
    for module_offset in (torch.zeros(1, 2, 1, 3), torch.zeros(1, 2, 2, 2)):
        with pytest.raises(RuntimeError):
            deform_conv2d(row, module_offset, weight)
        with pytest.raises(RuntimeError):
            modulated_deform_conv2d(row, module_offset, torch.ones(1, 1, 2, 3), weight)


def test_empty_batch_gives_empty_output_and_zero_gradients() -> None:
    # mmcv's functions reject an empty batch, so this calls the extension.
    from mmcv import _ext

    tensors = {name: value.detach() for name, value in Case(batch=0).tensors().items()}
    input, offset, weight, mask, bias = tensors.values()
    window = dict(
        kernel_h=3, kernel_w=3, stride_h=1, stride_w=1, pad_h=1, pad_w=1, dilation_h=1,
        dilation_w=1, group=1, deformable_group=1, with_bias=True,
    )  # fmt: skip
    output, scratch = input.new_empty(0, 2, 7, 6), input.new_empty(0)
    _ext.modulated_deform_conv_forward(
        input, weight, bias, scratch, offset, mask, output, scratch, **window
    )
    targets = [torch.full_like(tensor, 7) for tensor in (input, weight, bias, offset, mask)]
    _ext.modulated_deform_conv_backward(
        input, weight, bias, scratch, offset, mask, scratch, *targets, output, **window
    )
    assert targets[1].abs().sum() == 0 and targets[2].abs().sum() == 0
