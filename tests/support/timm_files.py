"""Files of weights as timm's users have them, and timm's own maps for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn


def randomized_model(name: str, **options: Any) -> nn.Module:
    """timm's whole model; norms and biases get values of their own, so that none is unseen."""
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def weights_file(name: str, folder: Path, **options: Any) -> Path:
    """A file as timm publishes it: every tensor of the classifier, under timm's names."""
    path = folder / f"{name}.safetensors"
    save_file(
        {k: v.contiguous()
         for k, v in randomized_model(name, **options).state_dict().items()}, path)
    return path


def timm_feature_maps(name: str, file: Path, levels: tuple[int, ...],
                      image: Tensor) -> list[Tensor]:
    """The maps of timm's own extractor, which has read the file by itself."""
    model = timm.create_model(
        name, features_only=True, out_indices=levels, pretrained=True,
        pretrained_cfg_overlay=dict(file=str(file)),
    ).eval()
    with torch.no_grad():
        maps = model(image)
    last = str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC")
    return [level.permute(0, 3, 1, 2) if last else level for level in maps]
