"""Checkpoints for ``TeachingNetwork``: of who makes the network, torchvision or timm, and ours."""

from __future__ import annotations

import re
from typing import Protocol, cast

from torch import nn

from detkit.errors import WeightsError
from detkit.models.backbones.classic.classic_networks import TeachingEntry
from detkit.models.backbones.timm.checkpoint_filter import translate_timm
from detkit.models.weights.converted_state_dict import StateDict, Translation

_OURS = "model."
# GoogLeNet's auxiliary classifiers, which are not built.
_AUXILIARY = re.compile(r"^aux\d\.")
# As torchvision's DenseNets were saved once: 'norm.1' for 'norm1'.
_DOTTED = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.(\d\.)")


class _Network(Protocol):
    """What is read of a ``TeachingNetwork``."""

    name: str
    entry: TeachingEntry


def translate_teaching(state: StateDict, backbone: nn.Module) -> Translation:
    """Bring a checkpoint of a teaching network under our names, the maker's after 'model.'.

    Args:
        state: names without wrappers and prefixes.
        backbone: our ``TeachingNetwork``.

    Raises:
        WeightsError: none of the network's names is in the file.
    """
    network = cast(_Network, backbone)
    if network.entry.maker == "timm":
        return translate_timm(state, backbone)
    own = backbone.state_dict()
    counters = frozenset(name for name in own if name.endswith(".num_batches_tracked"))
    ours = any(name in own for name in state)
    translation = Translation("detkit" if ours else network.entry.maker, optional=counters)
    for source, value in state.items():
        name = source if ours else _OURS + _DOTTED.sub(r"\1\2", source)
        last = network.entry.last and source.startswith(f"{network.entry.last}.")
        if name not in own and (last or _AUXILIARY.match(source)):
            translation.unused.append(source)
        else:
            translation.put(name, source, value)
    if not any(name in own for name in translation.tensors):
        raise WeightsError(
            f"these are not the names of {network.name}",
            got=", ".join(list(state)[:3]) + ", ..." if state else "no tensors",
            expected=f"the layout of {network.entry.maker} or detkit",
        )
    return translation
