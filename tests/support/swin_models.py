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


def shaken(model: nn.Module) -> nn.Module:
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
    return shaken(getattr(torchvision.models, name)())


def torchvision_maps(model: nn.Module, image: Tensor) -> list[Tensor]:
    maps = []
    for index, part in enumerate(model.features):  # type: ignore[arg-type]
        image = part(image)
        if index % 2:
            maps.append(image.permute(0, 3, 1, 2))
    return maps


def timm_swin(arch: str, size: tuple[int, int]) -> nn.Module:
    model = timm.create_model(TIMM_NAMES[arch], img_size=size, strict_img_size=False)
    return shaken(model)


def timm_maps(model: nn.Module, image: Tensor) -> list[Tensor]:
    maps: list[Tensor] = model.forward_intermediates(  # type: ignore[operator]
        image, intermediates_only=True, output_fmt="NCHW"
    )
    return maps


def raw_maps(model: SwinTransformer, image: Tensor) -> list[Tensor]:
    """Our maps before the norm of each output, which a classifier does not have."""
    kept: list[Tensor] = []
    hooks = [
        stage.register_forward_hook(lambda _, __, out: kept.append(out[0].permute(0, 3, 1, 2)))
        for stage in model.stages
    ]
    model(image)
    for hook in hooks:
        hook.remove()
    return kept


def assert_same(ours: list[Tensor], theirs: list[Tensor], tolerance: float = 1e-4) -> None:
    assert len(ours) == len(theirs) > 0
    for stage, (mine, other) in enumerate(zip(ours, theirs)):
        assert mine.shape == other.shape, stage
        difference = (mine - other).abs().max().item()
        assert difference <= tolerance, f"stage {stage} differs by {difference}"
