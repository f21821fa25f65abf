"""The layers of a model of timm in their order, as timm itself groups its parameters."""

from __future__ import annotations

from typing import Any

from torch import nn

from detkit.errors import ConfigError
from detkit.models.backbones.arch_lookup import check_frozen_stages


def get_layer_ids(
    model: Any, name: str, coarse: bool, owner: str = "TimmBackbone"
) -> dict[str, int]:
    """The number of the layer that each parameter belongs to; 0 is the stem.

    Args:
        model: timm's, with nothing but parameters of the backbone.
        name: of it, for messages.
        coarse: whether a layer is a whole stage (a block of a plain transformer), or a block.
        owner: who asks, for messages.

    Raises:
        ConfigError: timm does not say for this model.
    """
    import timm

    try:
        matcher = model.group_matcher(coarse=coarse)
    # No such method, or one that refuses the coarse way by an assertion.
    except (AttributeError, AssertionError) as error:
        raise ConfigError(
            f"{owner}: timm does not say what the {'stages' if coarse else 'layers'} of "
            f"{name} are",
            hint="leave frozen_stages at -1" if coarse else "train without layer-wise decay",
        ) from error
    layer_ids: dict[str, int] = timm.models.group_parameters(model, matcher, reverse=True)
    return layer_ids


def find_frozen_layers(model: nn.Module, name: str, stages: int) -> tuple[list[str], list[str]]:
    """What to freeze: parameters, and the outermost modules that hold nothing else.

    Args:
        model, name: as for ``get_layer_ids``.
        stages: -1 nothing; 0 the stem; n also the first n stages.

    Raises:
        ConfigError: there are not so many stages, or timm does not say what they are.
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
