"""timm's ConvNeXt V2 with random weights, and its files as other releases write them."""

from __future__ import annotations

import re
from typing import Any

import timm
import torch
from torch import Tensor, nn

from detkit.models.backbones import ConvNeXtV2

State = dict[str, Tensor]


def timm_convnextv2(arch: str) -> nn.Module:
    """In eval mode; every parameter with a value of its own, maps of order one."""
    return randomized_model(timm.create_model(f"convnextv2_{arch}", num_classes=10))


def randomized_model(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "grn" in name or parameter.ndim < 2:  # norms and biases
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif parameter[0].numel() > 1:  # by the numbers summed: no map grows or dies
                parameter.copy_(torch.randn_like(parameter) * parameter[0].numel() ** -0.5)
    return model.eval()


def timm_maps(model: nn.Module, image: Tensor) -> list[Tensor]:
    maps: list[Tensor] = model.forward_intermediates(  # type: ignore[operator]
        image, intermediates_only=True
    )
    return maps


def raw_maps(model: ConvNeXtV2, image: Tensor) -> list[Tensor]:
    """Our maps before the norm of each output, which a classifier does not have."""
    kept: list[Tensor] = []
    hooks = [
        stage.register_forward_hook(lambda _, __, out: kept.append(out.permute(0, 3, 1, 2)))
        for stage in model.stages
    ]
    model(image)
    for hook in hooks:
        hook.remove()
    return kept


def official(state: State) -> State:
    """timm's names and shapes -> those of the classifiers of the official release."""
    rules = [
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"^stages\.(\d)\.blocks\.", r"stages.\1."),
        (r"conv_dw", "dwconv"),
        (r"mlp\.fc", "pwconv"),
        (r"mlp\.grn\.weight", "grn.gamma"),
        (r"mlp\.grn\.bias", "grn.beta"),
        (r"^head\.norm\.", "norm."),
        (r"^head\.fc\.", "head."),
    ]
    found: State = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        if ".grn." in name:
            value = value.view(1, 1, 1, -1)
        if "pwconv" in name and value.ndim == 4:
            value = value.flatten(1)
        found[name] = value.clone()
    return found


def autoencoder(state: State) -> State:
    """The official classifier's names and shapes -> those of its masked autoencoder's encoder.

    A sparse kernel has one row for each cell of the window, the window's columns one after the
    other: cell (y, x) of a window of k is row x * k + y.
    """
    found: State = {"mask_token": torch.zeros(1, 512, 1, 1), "decoder.0.norm.weight": torch.ones(8)}
    for name, value in state.items():
        if name.startswith(("norm.", "head.")):
            continue
        sparse = name.startswith("stages.") or re.match(r"downsample_layers\.[123]\.1\.", name)
        if sparse and name.endswith("weight") and value.ndim == 4:
            side = value.shape[-1]
            rows = [value[:, :, y, x] for x in range(side) for y in range(side)]
            kernel = torch.stack(rows)  # (K, out, in)
            name = name.removesuffix("weight") + "kernel"
            value = kernel[:, :, 0] if "dwconv" in name else kernel.transpose(1, 2)
        elif sparse and (".dwconv." in name or name.startswith("downsample")):
            value = value[None]
        elif ".pwconv" in name:
            name = re.sub(r"(pwconv\d)\.", r"\1.linear.", name)
        elif ".grn." in name:
            value = value.view(1, -1)
        elif re.search(r"^stages.*\.norm\.|^downsample_layers\.[123]\.0\.", name):
            name = re.sub(r"\.(weight|bias)$", r".ln.\1", name)
        found[f"encoder.{name}"] = value.clone()
    return found


def mmpretrain(state: State) -> State:
    """The official classifier's names -> mmpretrain's."""
    found: State = {}
    for name, value in state.items():
        name = name.replace("dwconv", "depthwise_conv").replace("pwconv", "pointwise_conv")
        if name.startswith("head."):
            name = f"head.fc.{name.removeprefix('head.')}"
        elif name.startswith("norm."):
            name = f"backbone.norm3.{name.removeprefix('norm.')}"
        else:
            name = f"backbone.{name}"
        found[name] = value.flatten() if ".grn." in name else value
    return found


LAYOUTS: dict[str, Any] = {
    "timm": lambda state: state,
    "facebookresearch": lambda state: {"model": official(state)},
    "facebookresearch FCMAE": lambda state: {"model": autoencoder(official(state))},
    "mmpretrain": lambda state: {"state_dict": mmpretrain(official(state)), "meta": {}},
}
