"""Other libraries' Swins, with random weights, each stage's map in NCHW, for comparison."""

from __future__ import annotations

import timm
import torch
import torchvision
from torch import Tensor, nn

from detkit.models.backbones import SwinTransformer

TIMM_NAMES = {
    "tiny": "swin_tiny_patch4_window7_224",
    "small": "swin_small_patch4_window7_224",
    "base": "swin_base_patch4_window7_224",
}


def randomized_model(model: nn.Module) -> nn.Module:
    """Give every parameter a value of its own, so that no two can be mixed up unseen."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2:  # norms and biases
                parameter.add_(torch.randn_like(parameter) * 0.1)
            if name.endswith("relative_position_bias_table"):
                parameter.copy_(torch.randn_like(parameter))
    model.eval()  # mmdet's returns nothing
    return model


def torchvision_swin(arch: str) -> nn.Module:
    name = {"tiny": "swin_t", "small": "swin_s", "base": "swin_b"}[arch]
    return randomized_model(getattr(torchvision.models, name)())


def torchvision_maps(model: nn.Module, image: Tensor) -> list[Tensor]:
    maps = []
    for index, layer in enumerate(model.features):  # type: ignore[arg-type]
        image = layer(image)
        if index % 2:
            maps.append(image.permute(0, 3, 1, 2))
    return maps


def timm_swin(arch: str, size: tuple[int, int]) -> nn.Module:
    model = timm.create_model(TIMM_NAMES[arch], img_size=size, strict_img_size=False)
    return randomized_model(model)


def timm_maps(model: nn.Module, image: Tensor) -> list[Tensor]:
    maps: list[Tensor] = model.forward_intermediates(  # type: ignore[operator]
        image, intermediates_only=True, output_fmt="NCHW"
    )
    return maps


def raw_maps(model: SwinTransformer, image: Tensor) -> list[Tensor]:
    """Our maps before the norm of each output, which a classifier does not have."""
    maps_before_norm: list[Tensor] = []
    hooks = [
        stage.register_forward_hook(
            lambda _, __, out: maps_before_norm.append(out[0].permute(0, 3, 1, 2)))
        for stage in model.stages
    ]
    model(image)
    for hook in hooks:
        hook.remove()
    return maps_before_norm


def assert_same(actual: list[Tensor], expected: list[Tensor], tolerance: float = 1e-4) -> None:
    assert len(actual) == len(expected) > 0
    for stage, (actual_map, expected_map) in enumerate(zip(actual, expected)):
        assert actual_map.shape == expected_map.shape, stage
        difference = (actual_map - expected_map).abs().max().item()
        assert difference <= tolerance, f"stage {stage} differs by {difference}"
