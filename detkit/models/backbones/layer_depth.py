"""How deep a parameter of a wrapped network lies, by the number of its layer."""

from __future__ import annotations

from collections.abc import Mapping


def get_layer_depth(
    layers: Mapping[str, int], param_name: str, prefix: str, inner_prefix: str
) -> tuple[int, int]:
    """What ``get_layer_depth`` of a backbone around another library's network answers.

    Args:
        layers: the number of the layer of each parameter, under the network's own names.
        param_name: with the prefix that the backbone has in its model.
        prefix: such as 'backbone.'; a name without it belongs to what follows the backbone.
        inner_prefix: what the backbone puts before the network's names, such as 'model.'.

    Returns:
        the depth, 0 for the stem, and the number of depths, of which the last is the head's.
    """
    num_layers = max(layers.values()) + 2
    if not param_name.startswith(prefix):
        return num_layers - 1, num_layers
    local_name = param_name.removeprefix(prefix).removeprefix(inner_prefix)
    return layers.get(local_name, num_layers - 1), num_layers
