"""Checkpoint conversion of ``ClassicNetwork``: torchvision's, timm's and detkit's layouts."""

from __future__ import annotations

import re
from typing import Protocol, cast

from torch import nn

from detkit.models.backbones.classic.classic_networks import ClassicNetworkEntry
from detkit.models.backbones.timm.checkpoint_filter import (
    timm_checkpoint_filter_fn,
    timm_classifier_prefixes,
)
from detkit.models.weights.converted_state_dict import (
    ClassifierPrefixes,
    ConvertedStateDict,
    StateDict,
    unknown_layout_error,
)

_MODEL_PREFIX = "model."
# The auxiliary classifiers of GoogLeNet, which are not built.
_AUXILIARY = re.compile(r"^aux\d\.")
# Old checkpoints of torchvision's DenseNets have 'norm.1' for 'norm1'.
_DOTTED_DENSENET = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.(\d\.)")


class _Network(Protocol):
    """The attributes of a ``ClassicNetwork`` that are read here."""

    name: str
    entry: ClassicNetworkEntry


def classic_checkpoint_filter_fn(state_dict: StateDict, model: nn.Module) -> ConvertedStateDict:
    """Rename a checkpoint of a classic network: the library's names after 'model.'.

    Args:
        state_dict: names without wrappers and prefixes.
        model: a ``ClassicNetwork``.

    Raises:
        WeightsError: the state dict has none of the network's names.
    """
    network = cast(_Network, model)
    if network.entry.library == "timm":
        return timm_checkpoint_filter_fn(state_dict, model)
    model_state = model.state_dict()
    batch_counters = frozenset(name for name in model_state
                               if name.endswith(".num_batches_tracked"))
    is_detkit = any(name in model_state for name in state_dict)
    converted = ConvertedStateDict("detkit" if is_detkit else network.entry.library,
                                   optional=batch_counters)
    for source, value in state_dict.items():
        name = source if is_detkit else _MODEL_PREFIX + _DOTTED_DENSENET.sub(r"\1\2", source)
        is_classifier = network.entry.classifier and source.startswith(
            f"{network.entry.classifier}.")
        if name not in model_state and (is_classifier or _AUXILIARY.match(source)):
            converted.unexpected_keys.append(source)
        else:
            converted.add(name, source, value)
    if not any(name in model_state for name in converted.tensors):
        raise unknown_layout_error(network.name, state_dict,
                                   f"{network.entry.library} or detkit")
    return converted


def classic_classifier_prefixes(state_dict: StateDict, model: nn.Module) -> ClassifierPrefixes:
    """Where the library that implements the network keeps its last layer."""
    entry = cast(_Network, model).entry
    if entry.library == "timm":
        return timm_classifier_prefixes(state_dict, model)
    return {"head.fc.": (f"{entry.classifier}.",)} if entry.classifier else {}
