"""Weights from anywhere into our backbones: whole, or refused with the names that do not fit.

Each backbone brings a ``checkpoint_filter_fn`` that knows the layouts its weights are published
in, as the models of timm do: ``checkpoint_filter.py`` beside the model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from detkit.errors import ConfigError, WeightsError
from detkit.models.weights.converted_state_dict import ConvertedStateDict, StateDict
from detkit.models.weights.load_weights import (
    LoadReport,
    ModuleWeights,
    build_load_report,
    load_all_or_none,
)
from detkit.models.weights.state_dict import read_state_dict, strip_backbone_prefixes

__all__ = ["LoadReport", "display_name", "model_family", "initialize_weights",
           "load_backbone_weights", "convert_backbone_state_dict"]

CheckpointFilterFn = Callable[[StateDict, nn.Module], ConvertedStateDict]

LoadFn = Callable[[Any, str, "str | None"], LoadReport]


def initialize_weights(
    module: nn.Module,
    init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    load_fn: LoadFn | None = None,
) -> None:
    """Do what mmengine's ``init_cfg`` asks for, 'Pretrained' by way of our loader and last.

    Args:
        module: whose weights they are.
        init_cfg: a step or several.
        load_fn: takes the module, a checkpoint and a prefix; None is ``load_backbone_weights``.

    Raises:
        ConfigError: a step does not say its type, or a 'Pretrained' one its checkpoint.
        WeightsError: the checkpoint cannot be read, or does not fit.
    """
    if not init_cfg:
        return
    from mmengine.model import PretrainedInit, initialize

    pretrained_types = ("Pretrained", PretrainedInit)
    steps = [init_cfg] if isinstance(init_cfg, Mapping) else list(init_cfg)
    for step in steps:
        if "type" not in step or (step["type"] in pretrained_types and not step.get("checkpoint")):
            raise ConfigError(
                f"{type(module).__name__}: init_cfg",
                got=dict(step),
                expected="a type, as in dict(type='Pretrained', checkpoint=FILE)",
            )
    pretrained = [s for s in steps if s["type"] in pretrained_types]
    others = [dict(step) for step in steps if step not in pretrained]
    if others:
        initialize(module, others)
    for step in pretrained:
        report = (load_fn or load_backbone_weights)(module, step["checkpoint"], step.get("prefix"))
        print_log(str(report), logger="current", level=logging.INFO)


def load_backbone_weights(
    backbone: nn.Module,
    checkpoint: str | Path | Mapping[str, Any],
    prefix: str | None = None,
) -> LoadReport:
    """Set every parameter of a backbone from a checkpoint, or none of them.

    Args:
        backbone: one whose class has a ``checkpoint_filter_fn``.
        checkpoint: a file as ``read_checkpoint`` takes it, or what it returns.
        prefix: take only the names that begin so; None finds common prefixes out.

    Raises:
        WeightsError: the file cannot be read; no layout is recognised; a parameter has no
            source or another shape; the file has parameters that the backbone lacks.
    """
    origin, content = read_state_dict(checkpoint)
    tensors, skipped_keys = strip_backbone_prefixes(content, prefix, origin)
    module_weights = [
        ModuleWeights("", backbone, convert_backbone_state_dict(tensors, backbone, origin))
    ]
    load_all_or_none(module_weights, origin, display_name(backbone),
                     "choose the arch that the file was made for")
    return build_load_report(module_weights, origin, skipped_keys)


def convert_backbone_state_dict(state: StateDict, backbone: nn.Module,
                                origin: str) -> ConvertedStateDict:
    """Bring a checkpoint under the backbone's names by its adapter.

    Args:
        state: names without wrappers and prefixes.
        backbone: one whose class has a ``checkpoint_filter_fn``.
        origin: the file, for messages.

    Raises:
        WeightsError: no layout is recognised, or none is known for the backbone.
    """
    try:
        return _filter_fn_for(backbone)(state, backbone)
    except WeightsError as error:
        raise WeightsError(
            f"checkpoint '{origin}': {error.message}", got=error.got, expected=error.expected
        ) from error


def display_name(backbone: nn.Module) -> str:
    """A backbone in a message: its class, and the network that it is where it wraps several."""
    name = getattr(backbone, "name", None)
    return type(backbone).__name__ + (f" '{name}'" if isinstance(name, str) else "")


def model_family(backbone: nn.Module) -> str | None:
    """The name of the class, the backbone's or one that it is made of, whose filter it has."""
    return next((cls.__name__ for cls in type(backbone).__mro__
                 if "checkpoint_filter_fn" in vars(cls)), None)


def _filter_fn_for(backbone: nn.Module) -> CheckpointFilterFn:
    convert: CheckpointFilterFn | None = getattr(backbone, "checkpoint_filter_fn", None)
    if convert is None:
        raise WeightsError(
            "no layout of weights is known for this backbone",
            got=type(backbone).__name__,
            expected="a class with a checkpoint_filter_fn, as detkit's backbones have",
        )
    return convert
