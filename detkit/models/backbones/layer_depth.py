"""The layer depth of a wrapped network's parameter, for layer-wise learning rate decay."""

from __future__ import annotations

from collections.abc import Mapping


def get_layer_depth(
    layers: Mapping[str, int], param_name: str, prefix: str, inner_prefix: str
) -> tuple[int, int]:
    """Compute ``get_layer_depth`` of a backbone that wraps another library's network.

    Args:
        layers: the layer index of each parameter, by the network's names.
        param_name: with the prefix that the backbone has in its model.
        prefix: such as 'backbone.'; names without it belong to later modules.
        inner_prefix: the backbone's prefix of the network's names, such as 'model.'.

    Returns:
        the depth, 0 for the stem, and the number of depths; the last depth is the head's.
    """
    num_layers = max(layers.values()) + 2
    if not param_name.startswith(prefix):
        return num_layers - 1, num_layers
    local_name = param_name.removeprefix(prefix).removeprefix(inner_prefix)
    return layers.get(local_name, num_layers - 1), num_layers
