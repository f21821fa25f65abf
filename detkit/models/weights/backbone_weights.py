"""Load checkpoints of any known layout into backbones: all parameters or none.

Each backbone class describes foreign checkpoints by attributes; this file has no tables of them:

- ``checkpoint_filter_fn(state_dict, model) -> ConvertedStateDict`` renames the published layouts,
  as timm's functions of this name; see ``checkpoint_filter.py`` beside each model.
- ``classifier_prefixes_fn(state_dict, model) -> ClassifierPrefixes``, optional: the names of
  a classifier's final norm and last layer. Without it, the head's weights are not loaded.
- ``arch_names``, optional: values of the argument ``arch``, the smallest first, for
  ``detect_backbone``. ``arch_variants``, optional: more keyword arguments to try.
- ``check_source_fn(model, layout, source)``, optional: whether a file of this layout that says it
  holds ``source`` was trained with the model's padding and eps; raises, or returns a warning.
- ``full_network``, optional: a type that has the layers between the last feature map and the head
  where this class drops them. ``state_dict_prefix``, optional: the prefix of all names, for a
  class that wraps networks of another library.
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
from detkit.models.weights.source_arch import SourceArch
from detkit.models.weights.state_dict import read_state_dict, strip_backbone_prefixes

__all__ = ["LoadReport", "check_source", "convert_backbone_state_dict", "display_name",
           "initialize_weights", "load_backbone_weights"]

CheckpointFilterFn = Callable[[StateDict, nn.Module], ConvertedStateDict]

CheckSourceFn = Callable[[Any, str, "SourceArch | None"], "str | None"]
# These belong to a known padding and eps, which the backbone is compared with.
_PUBLISHED = "published:"

LoadFn = Callable[[Any, str, "str | None"], LoadReport]


def initialize_weights(
    module: nn.Module,
    init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    load_fn: LoadFn | None = None,
) -> None:
    """Apply mmengine's ``init_cfg``, with 'Pretrained' steps last and by detkit's loader.

    Args:
        module: to initialize.
        init_cfg: a step or a list of steps.
        load_fn: takes the module, a checkpoint and a prefix; None means
            ``load_backbone_weights``.

    Raises:
        ConfigError: a step without a type, or a 'Pretrained' step without a checkpoint.
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
        checkpoint: a file as ``load_checkpoint`` takes it, or what it returns.
        prefix: load only names with this prefix; None detects common prefixes.

    Raises:
        WeightsError: the file cannot be read; the layout is unknown; a parameter is missing
            or has another shape; the file has unexpected parameters.
    """
    origin, content, source = read_state_dict(checkpoint)
    tensors, skipped_keys = strip_backbone_prefixes(content, prefix, origin)
    converted = convert_backbone_state_dict(tensors, backbone, origin)
    check_source(backbone, converted.layout, source, origin)
    module_weights = [ModuleWeights("", backbone, converted)]
    load_all_or_none(module_weights, origin, display_name(backbone),
                     "set the arch of the file")
    return build_load_report(module_weights, origin, skipped_keys)


def convert_backbone_state_dict(state: StateDict, backbone: nn.Module,
                                origin: str) -> ConvertedStateDict:
    """Rename a checkpoint to the backbone's names by its ``checkpoint_filter_fn``.

    Args:
        state: names without wrappers and prefixes.
        backbone: one whose class has a ``checkpoint_filter_fn``.
        origin: the file, for messages.

    Raises:
        WeightsError: the layout is unknown, or the backbone has no ``checkpoint_filter_fn``.
    """
    try:
        return _filter_fn_for(backbone)(state, backbone)
    except WeightsError as error:
        raise WeightsError(
            f"checkpoint '{origin}': {error.message}", got=error.got, expected=error.expected
        ) from error


def check_source(
    backbone: nn.Module, layout: str, source: SourceArch | None, origin: str
) -> None:
    """Compare a backbone with the network that a file says it holds, where its class can.

    Args:
        backbone: its class may have a ``check_source_fn``.
        layout: of the file.
        source: what the file says; None if nothing.
        origin: the file, for messages.

    Raises:
        WeightsError: the weights of the file were trained with another padding or eps.
    """
    check: CheckSourceFn | None = getattr(backbone, "check_source_fn", None)
    if check is None or origin.startswith(_PUBLISHED):
        return
    try:
        warning = check(backbone, layout, source)
    except WeightsError as error:
        raise WeightsError(f"checkpoint '{origin}': {error.message}", got=error.got,
                           expected=error.expected, hint=error.hint) from error
    if warning is not None:
        print_log(f"checkpoint '{origin}': {warning}", logger="current", level=logging.WARNING)


def display_name(backbone: nn.Module) -> str:
    """Name of a backbone in messages: its class, and the wrapped network if any."""
    name = getattr(backbone, "name", None)
    return type(backbone).__name__ + (f" '{name}'" if isinstance(name, str) else "")


def _filter_fn_for(backbone: nn.Module) -> CheckpointFilterFn:
    convert: CheckpointFilterFn | None = getattr(backbone, "checkpoint_filter_fn", None)
    if convert is None:
        raise WeightsError(
            "this backbone cannot load checkpoints of other layouts",
            got=type(backbone).__name__,
            expected="a class with a checkpoint_filter_fn, as detkit's backbones have",
        )
    return convert
