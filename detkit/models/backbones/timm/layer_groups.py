"""Layers of a model of timm by timm's parameter groups."""

from __future__ import annotations

from typing import Any

from torch import nn

from detkit.errors import ConfigError
from detkit.models.backbones.arch_lookup import check_frozen_stages


def get_layer_ids(
    model: Any, name: str, coarse: bool, owner: str = "TimmBackbone"
) -> dict[str, int]:
    """Get the layer index of each parameter; 0 is the stem.

    Args:
        model: of timm, without classifier.
        name: of the model, for messages.
        coarse: whether a layer is a stage (a block for plain transformers) or a block.
        owner: the class that needs it, for messages.

    Raises:
        ConfigError: timm has no parameter groups for this model.
    """
    import timm

    try:
        matcher = model.group_matcher(coarse=coarse)
    # The method is missing, or asserts against ``coarse``.
    except (AttributeError, AssertionError) as error:
        raise ConfigError(
            f"{owner}: timm has no {'stage' if coarse else 'layer'} groups for {name}",
            hint="set frozen_stages=-1" if coarse else "train without layer-wise decay",
        ) from error
    layer_ids: dict[str, int] = timm.models.group_parameters(model, matcher, reverse=True)
    return layer_ids


def find_frozen_layers(model: nn.Module, name: str, stages: int) -> tuple[list[str], list[str]]:
    """Get the parameters to freeze, and the outermost modules with no other parameters.

    Args:
        model, name: as for ``get_layer_ids``.
        stages: -1 none; 0 the stem; n also the first n stages.

    Raises:
        ConfigError: an invalid number of stages, or timm has no stage groups for the model.
    """
    if stages == -1:
        return [], []
    layers = get_layer_ids(model, name, coarse=True)
    last = max(layers.values())
    check_frozen_stages("TimmBackbone", last, stages)
    parameters = [key for key, layer in layers.items() if layer <= stages]
    frozen = set(parameters)
    modules: list[str] = []
    for path, module in model.named_modules():
        param_names = [f"{path}.{key}" if path else key for key, _ in module.named_parameters()]
        is_nested = any(path.startswith(f"{outer}.") for outer in modules)
        if param_names and not is_nested and frozen.issuperset(param_names):
            modules.append(path)
    return parameters, modules
