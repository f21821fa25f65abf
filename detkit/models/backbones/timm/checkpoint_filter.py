"""Checkpoints for what wraps a model of timm: timm's names, and what timm knows how to convert."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import WeightsError
from detkit.models.weights.converted_state_dict import StateDict, Translation

# What our classes call timm's model: TimmBackbone and TimmNetwork.
_OURS = ("body.", "model.")
# What timm calls the function of a family that brings a release file under timm's names.
_FILTERS = ("checkpoint_filter_fn", "checkpoint_filter_fn_encoder",
            "_filter_torchvision_pretrained", "_filter_fn")


def translate_timm(state: StateDict, backbone: nn.Module) -> Translation:
    """Bring a checkpoint of a model of timm under our names, which are timm's after a prefix.

    Args:
        state: names without wrappers and prefixes.
        backbone: our ``TimmBackbone``, ``TimmNetwork``, or a ``TeachingNetwork`` of timm's.

    Raises:
        WeightsError: timm's own converter for the model breaks over the file.
    """
    own = backbone.state_dict()
    prefix = next(one for one in _OURS if any(name.startswith(one) for name in own))
    counters = frozenset(name for name in own if name.endswith(".num_batches_tracked"))
    bare = {name.removeprefix(prefix): value for name, value in own.items()}
    whole = _whole_model(backbone)
    known = whole.state_dict()
    theirs = next((one for one in _OURS if any(name.startswith(one) for name in state)
                   and any(name.removeprefix(one) in bare for name in state)), "")
    translation = Translation("detkit" if theirs else "timm", optional=counters)
    if theirs:
        state = {name.removeprefix(theirs): value for name, value in state.items()}
    fits = all(name in state and state[name].shape == value.shape for name, value in bare.items())
    named = state if theirs or fits else _converted(state, whole, str(backbone.name))
    for name, value in named.items():
        if name in bare:
            translation.put(prefix + name, theirs + name, value)
            if name in state and state[name].shape != value.shape:
                translation.resized.append(prefix + name)
        elif name in known:
            translation.unused.append(name)
        else:
            translation.put(name, name, value)
    return translation


def _whole_model(backbone: Any) -> nn.Module:
    """timm's model with classifier and all levels, without content."""
    import timm

    with torch.device("meta"):
        model: nn.Module = timm.create_model(backbone.name, **backbone.options)
    return model


def _converted(state: StateDict, whole: nn.Module, name: str) -> dict[str, Tensor]:
    import timm

    home = importlib.import_module(timm.models.model_entrypoint(name.partition(".")[0]).__module__)
    found = [getattr(home, one) for one in _FILTERS if hasattr(home, one)]
    if not found:
        return state
    convert: Callable[..., dict[str, Tensor]] = found[0]
    takes = inspect.signature(convert).parameters
    extra = {"adapt_layer_scale": True} if "adapt_layer_scale" in takes else {}
    arguments = (dict(state), whole) if "model" in takes else (dict(state),)
    try:
        converted = convert(*arguments, **extra)
    # Written for one family's files each, the converters break over any other as they have it.
    except Exception as error:
        raise WeightsError(
            f"timm cannot bring these names under {name}'s ({type(error).__name__}: {error})",
            got=", ".join(list(state)[:3]) + ", ..." if state else "no tensors",
            expected="timm's own layout, or that of the model's original release",
        ) from error
    return {key: value for key, value in converted.items() if isinstance(value, Tensor)}
