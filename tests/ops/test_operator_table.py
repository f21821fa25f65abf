"""The table of operators in the docstring of detkit.ops, and operators on a GPU."""

import pytest
import torch

import detkit.ops
from detkit.ops.extension import OPERATORS, get_operator


@pytest.mark.parametrize("name", OPERATORS)
def test_all_operators_in_table_resolve(name: str) -> None:
    assert callable(get_operator(name))


def test_every_operator_module_is_in_the_docstring() -> None:
    modules = {target.split(":")[0].rsplit(".", 1)[1] for target in OPERATORS.values()}
    text = detkit.ops.__doc__ or ""
    missing = {name for name in modules - {"build_info"} if name[:16] not in text}
    assert not missing


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_gpu_results_and_gradients_match_cpu() -> None:
    from mmcv.ops import carafe, deform_conv2d, deform_roi_pool, modulated_deform_conv2d

    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    image, weight = random(2, 4, 6, 5), random(3, 4, 3, 3)
    offset, mask = random(2, 18, 6, 5), random(2, 9, 6, 5)
    rois = torch.tensor([[0, 1.0, 1, 12, 9], [1, 0, 0, 20, 20]], dtype=torch.float64)
    calls = {
        "deform_conv2d": (lambda *t: deform_conv2d(*t, 1, 1), (image, offset, weight)),
        "modulated_deform_conv2d": (
            lambda *t: modulated_deform_conv2d(*t, None, 1, 1),
            (image, offset, mask, weight),
        ),
        "carafe": (lambda *t: carafe(*t, 3, 1, 2), (image, random(2, 9, 12, 10))),
        "deform_roi_pool": (
            lambda image, offset: deform_roi_pool(
                image, rois.to(image.device), offset, (2, 2), 0.25, 0, 0.1
            ),
            (image, random(2, 2, 2, 2)),
        ),
    }
    for name, (function, sources) in calls.items():
        outcomes = []
        for device in ("cpu", "cuda"):
            placed = [tensor.detach().to(device).requires_grad_() for tensor in sources]
            output = function(*placed)
            gradients = torch.autograd.grad(output.square().sum(), placed)
            outcomes.append([tensor.cpu() for tensor in (output.detach(), *gradients)])
        for on_cpu, on_gpu in zip(*outcomes):
            torch.testing.assert_close(on_gpu, on_cpu, msg=lambda text, name=name: name + text)
