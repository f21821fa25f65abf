"""Checkpoint conversion of models of timm: timm's names, and layouts that timm converts."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import WeightsError
from detkit.models.weights.converted_state_dict import (
    ClassifierPrefixes,
    ConvertedStateDict,
    StateDict,
)
from detkit.models.weights.source_arch import SourceArch
from detkit.text import list_names

# Prefixes of timm's model in TimmBackbone and TimmNetwork.
_MODEL_PREFIXES = ("body.", "model.")
# Names in timm's modules of the functions that convert official checkpoints.
_TIMM_FILTER_FNS = ("checkpoint_filter_fn", "checkpoint_filter_fn_encoder",
                    "_filter_torchvision_pretrained", "_filter_fn")


def timm_checkpoint_filter_fn(state_dict: StateDict, model: nn.Module) -> ConvertedStateDict:
    """Rename a checkpoint of a model of timm: timm's names after a prefix.

    Args:
        state_dict: names without wrappers and prefixes.
        model: a ``TimmBackbone``, a ``TimmNetwork``, or a ``ClassicNetwork`` from timm.

    Raises:
        WeightsError: timm's conversion function fails on the checkpoint.
    """
    model_state = model.state_dict()
    prefix = next(candidate for candidate in _MODEL_PREFIXES if any(
        name.startswith(candidate) for name in model_state))
    batch_counters = frozenset(name for name in model_state
                               if name.endswith(".num_batches_tracked"))
    pruned_state = {name.removeprefix(prefix): value for name, value in model_state.items()}
    full_model = _full_model(model)
    full_state = full_model.state_dict()
    source_prefix = next((candidate for candidate in _MODEL_PREFIXES
                          if any(name.startswith(candidate) for name in state_dict) and any(
                              name.removeprefix(candidate) in pruned_state for name in state_dict)),
                         "")
    converted = ConvertedStateDict("detkit" if source_prefix else "timm", optional=batch_counters)
    if source_prefix:
        state_dict = {name.removeprefix(source_prefix): value for name, value in state_dict.items()}
    all_match = all(name in state_dict and state_dict[name].shape == value.shape
                    for name, value in pruned_state.items())
    renamed_state = state_dict if source_prefix or all_match else _apply_timm_filter(
        state_dict, full_model, str(model.name))
    for name, value in renamed_state.items():
        if name in pruned_state:
            converted.add(prefix + name, source_prefix + name, value)
            if name in state_dict and state_dict[name].shape != value.shape:
                converted.resized.append(prefix + name)
        elif name in full_state:
            converted.unexpected_keys.append(name)
        else:
            converted.add(name, name, value)
    return converted


def timm_classifier_prefixes(state_dict: StateDict, model: nn.Module) -> ClassifierPrefixes:
    """Where timm keeps the last layer of this model: by the model's ``pretrained_cfg``."""
    import timm

    cfg = timm.get_pretrained_cfg(str(model.name))
    name = cfg.classifier if cfg is not None else None
    return {"head.fc.": (f"{name}.",)} if isinstance(name, str) else {}


def check_timm_source(model: Any, layout: str, source: SourceArch | None) -> str | None:
    """Compare a model of timm with the one that a file says it holds, where a tf_ twin exists.

    Args:
        model: a ``TimmBackbone`` or ``TimmNetwork``.
        layout: of the file; detkit's own files hold the same model.
        source: what the file says; None if nothing.

    Returns:
        a warning where the file does not say it, or where its name contradicts the model.

    Raises:
        WeightsError: the file holds the twin, which has another padding and eps.
    """
    import timm

    name = str(model.name).partition(".")[0]
    is_tensorflow = name.startswith("tf_")
    counterpart = name.removeprefix("tf_") if is_tensorflow else f"tf_{name}"
    if layout == "detkit" or not timm.is_model(counterpart):
        return None
    pads_as_tensorflow = is_tensorflow or model.options.get("pad_type") == "same"
    difference = ("padding as in TensorFlow and eps 1e-3" if pads_as_tensorflow
                  else "symmetric padding and eps 1e-5")
    if source is None:
        return (f"the file does not tell whether it holds {name} or {counterpart}: one layout, but "
                f"other padding and eps; this model has {difference}")
    if source.is_tensorflow == pads_as_tensorflow:
        return None
    if not source.is_certain:
        return (f"{source.evidence} is that of {source.name}; this model, {name}, has "
                f"{difference}, which is right for weights of a tf_ model only")
    raise WeightsError(
        f"{source.evidence} says {source.name}, whose weights were trained with another padding "
        "and eps",
        got=f"{name}, with {difference}", expected=source.name,
        hint=f"set name='{source.name}'")


def _full_model(model: Any) -> nn.Module:
    """timm's model with classifier and all levels, on the meta device."""
    import timm

    with torch.device("meta"):
        full_model: nn.Module = timm.create_model(model.name, **model.options)
    return full_model


def _apply_timm_filter(state_dict: StateDict, full_model: nn.Module,
                       name: str) -> dict[str, Tensor]:
    import timm

    module = importlib.import_module(
        timm.models.model_entrypoint(name.partition(".")[0]).__module__)
    filter_fns = [
        getattr(module, candidate) for candidate in _TIMM_FILTER_FNS if hasattr(module, candidate)
    ]
    if not filter_fns:
        return state_dict
    filter_fn: Callable[..., dict[str, Tensor]] = filter_fns[0]
    parameters = inspect.signature(filter_fn).parameters
    extra_args = {"adapt_layer_scale": True} if "adapt_layer_scale" in parameters else {}
    arguments = (dict(state_dict), full_model) if "model" in parameters else (dict(state_dict),)
    try:
        converted = filter_fn(*arguments, **extra_args)
    # The conversion functions raise errors of any type for files of other models.
    except Exception as error:
        raise WeightsError(
            f"timm cannot convert these names for {name} ({type(error).__name__}: {error})",
            got=list_names(state_dict, 3) or "no tensors",
            expected="timm's layout, or that of the model's official release",
        ) from error
    return {key: value for key, value in converted.items() if isinstance(value, Tensor)}
