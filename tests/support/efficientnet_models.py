"""Other libraries' EfficientNets with random weights and statistics, for comparison."""

from __future__ import annotations

import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def randomized_model(model: nn.Module) -> nn.Module:
    """Give every norm's weight, bias, mean and variance values of its own.

    With statistics drawn at random dozens of layers let maps vanish or blow up, and then no
    tolerance says anything. So each norm, in the order in which a picture meets them, takes what
    it is given there, off by a fifth or so: the maps behind it stay of order one.
    """
    generator = torch.Generator().manual_seed(0)

    def randomize_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))
        # A channel that hardly varies would be blown up by the next picture.
        variance = variance + mean**2
        noise = torch.randn((3, *mean.shape), generator=generator)
        norm.running_mean = mean + 0.2 * variance.sqrt() * noise[0]
        norm.running_var = variance * (0.7 + 0.6 * torch.rand(mean.shape, generator=generator))
        # Below 1, for residual blocks add up, and so do their roundings.
        norm.weight.mul_(0.8).add_(0.1 * noise[1])
        norm.bias += 0.1 * noise[2]

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    hooks = [norm.register_forward_pre_hook(randomize_norm) for norm in norms]
    with torch.no_grad():
        model.eval()(2 * make_image(4, 3, 128, 128, seed=0))
    for hook in hooks:
        hook.remove()
    return model


def make_image(*shape: int, seed: int = 1) -> Tensor:
    """Ramps with stripes and noise, each channel of each image its own: structured and random."""
    generator = torch.Generator().manual_seed(seed)
    slopes, waves = torch.randn((2, *shape[:2], 1, 1), generator=generator)
    x, y = torch.linspace(-1, 1, shape[3]), torch.linspace(0, 12, shape[2])[:, None]
    noise = torch.randn(shape, generator=generator)
    return slopes * x + (waves * y).sin() + 0.5 * noise


def timm_model(name: str) -> nn.Module:
    torch.manual_seed(0)
    # drop_path_rate 0: its draws are not ours.
    return randomized_model(timm.create_model(name, drop_path_rate=0.0))


def torchvision_model(name: str) -> nn.Module:
    torch.manual_seed(0)
    return randomized_model(getattr(torchvision.models, name)(stochastic_depth_prob=0.0))


def timm_maps(model: nn.Module, image: Tensor) -> list[Tensor]:
    """Strides 4, 8, 16, 32: behind the last block of each."""
    maps: list[Tensor] = model.forward_intermediates(  # type: ignore[operator]
        image, intermediates_only=True
    )
    return maps[1:]


def torchvision_maps(model: nn.Module, image: Tensor) -> list[Tensor]:
    """The last map of each size below stride 2, without the head's convolution."""
    maps: list[Tensor] = []
    for layer in list(model.features)[:-1]:  # type: ignore[arg-type]
        image = layer(image)
        if maps and maps[-1].shape[2:] == image.shape[2:]:
            maps[-1] = image
        else:
            maps.append(image)
    return maps[1:]


def assert_same(actual: tuple[Tensor, ...], expected: list[Tensor],
                tolerance: float = 1e-4) -> None:
    assert len(actual) == len(expected) > 0
    for stage, (actual_map, expected_map) in enumerate(zip(actual, expected)):
        assert actual_map.shape == expected_map.shape, stage
        # Of order one: neither vanished, where all agree, nor blown up, where none do.
        assert 0.1 < expected_map.detach().std() < 10, stage
        difference = (actual_map - expected_map).abs().max().item()
        assert difference <= tolerance, f"stage {stage} differs by {difference}"
