"""Load the file of a classifier, of any known layout, into ``ImageClassifier``.

The backbone's ``checkpoint_filter_fn`` converts the backbone; the final norm and the last layer
have another name in each layout, which the backbone's ``classifier_prefixes_fn`` knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from detkit.models.weights.backbone_weights import (
    check_source,
    convert_backbone_state_dict,
    display_name,
    initialize_weights,
)
from detkit.models.weights.converted_state_dict import (
    ClassifierPrefixes,
    ConvertedStateDict,
    StateDict,
)
from detkit.models.weights.load_weights import (
    LoadReport,
    ModuleWeights,
    build_load_report,
    load_all_or_none,
)
from detkit.models.weights.state_dict import (
    read_state_dict,
    strip_backbone_prefixes,
    strip_model_prefixes,
)

_BACKBONE, _HEAD = "backbone.", "head."
_LOSS_KEYS = re.compile(r"^loss")
_PARAM_NAMES = ("weight", "bias")
_LAST_LAYER = "head.fc."


@dataclass
class _HeadWeights:
    """The weights of the head in a file.

    Args:
        entries: (name in the model's head, the file's name, tensor).
        is_linear: whether it is one linear layer, with a norm at most, as in other libraries.
    """

    entries: list[tuple[str, str, Tensor]] = field(default_factory=list)
    is_linear: bool = True


def initialize_classifier(
    model: nn.Module, init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
) -> None:
    """Apply a classifier's ``init_cfg``, 'Pretrained' by ``load_classifier_weights``.

    Raises:
        ConfigError: a step without a type, or a 'Pretrained' step without a checkpoint.
        WeightsError: the checkpoint cannot be read, or does not fit.
    """
    initialize_weights(model, init_cfg, load_classifier_weights)


def load_classifier_weights(
    model: nn.Module,
    checkpoint: str | Path | Mapping[str, Any],
    prefix: str | None = None,
) -> LoadReport:
    """Set every parameter of a classifier from a checkpoint, or none of them.

    The last layer is not loaded where the number of classes differs, nor is the head where the
    file has none, or where the file or the model has other layers before it; the report says so.

    Args:
        model: an ``ImageClassifier`` whose backbone's class has a ``checkpoint_filter_fn``.
        checkpoint: a file as ``load_checkpoint`` takes it, or what it returns.
        prefix: load only names with this prefix; None detects common prefixes.

    Raises:
        WeightsError: the file cannot be read; the layout is unknown; a parameter is missing
            or has another shape; the file has unexpected parameters.
    """
    backbone, head = model.get_submodule("backbone"), model.get_submodule("head")
    origin, content, source = read_state_dict(checkpoint)
    state_dict, skipped_keys = strip_model_prefixes(content, prefix, origin)
    backbone_state, head_weights = dict(state_dict), _HeadWeights()
    if any(name.startswith(_BACKBONE) for name in state_dict):
        head_weights = _prefixed_head(state_dict)
        skipped_keys += [name for name in state_dict if not name.startswith((_BACKBONE, _HEAD))]
        backbone_state = {name.removeprefix(_BACKBONE): value
                          for name, value in state_dict.items() if name.startswith(_BACKBONE)}
    backbone_state, outer_keys = strip_backbone_prefixes(backbone_state, None, origin)
    skipped_keys += outer_keys
    renamed = _rename_classifier_layers(backbone_state, backbone, head_weights)
    converted_backbone = convert_backbone_state_dict(backbone_state, backbone, origin)
    check_source(backbone, converted_backbone.layout, source, origin)
    converted_backbone.sources.update({
        name: renamed[source]
        for name, source in converted_backbone.sources.items()
        if source in renamed
    })
    head_sources = {source for _, source, _ in head_weights.entries}
    converted_backbone.unexpected_keys = [
        renamed.get(name, name)
        for name in converted_backbone.unexpected_keys
        if name not in head_sources
    ]
    converted_head, notes = _convert_head(head_weights, head, converted_backbone,
                                          getattr(backbone, "full_network", None))
    loss_keys = frozenset(name for name in head.state_dict() if _LOSS_KEYS.match(name))
    module_weights = [
        ModuleWeights(_BACKBONE, backbone, converted_backbone),
        ModuleWeights(_HEAD, head, converted_head, loss_keys)
    ]
    load_all_or_none(module_weights, origin, f"{type(model).__name__} of {display_name(backbone)}",
                     _suggest_fix(converted_head, head))
    return build_load_report(module_weights, origin, skipped_keys, notes)


def _prefixed_head(state_dict: StateDict) -> _HeadWeights:
    """The head in a file of detkit or mmpretrain, without buffers of the loss."""
    entries = [(name.removeprefix(_HEAD), name, value)
               for name, value in state_dict.items()
               if name.startswith(_HEAD)]
    entries = [row for row in entries if not _LOSS_KEYS.match(row[0])]
    return _HeadWeights(entries, all(name.startswith(("fc.", "norm.")) for name, _, _ in entries))


def _rename_classifier_layers(backbone_state: StateDict, backbone: nn.Module,
                              head_weights: _HeadWeights) -> dict[str, str]:
    """Rename a foreign file's final norm and last layer to the names of ``ImageClassifier``.

    Args:
        backbone_state: changed in place where a layer belongs to the backbone.
        backbone: its ``classifier_prefixes_fn`` gives the names in the file.
        head_weights: the layers of the head are added, except for a last layer if it has entries.

    Returns:
        from each new name in ``backbone_state`` to the file's.
    """
    prefixes_fn = getattr(backbone, "classifier_prefixes_fn", None)
    prefixes: ClassifierPrefixes = prefixes_fn(backbone_state, backbone) if prefixes_fn else {}
    model_state, renamed = backbone.state_dict(), {}
    has_head = bool(head_weights.entries)
    for model_prefix, candidates in prefixes.items():
        if has_head and model_prefix == _LAST_LAYER:
            continue
        # Either parameter is enough: a missing other one is reported by its name.
        prefix = next((candidate for candidate in candidates if any(
            candidate + param_name in backbone_state and candidate + param_name not in model_state
            for param_name in _PARAM_NAMES)), None)
        for param_name in _PARAM_NAMES if prefix is not None else ():
            source = f"{prefix}{param_name}"
            if source not in backbone_state:
                continue
            name = model_prefix.removeprefix(_HEAD).removeprefix(_BACKBONE) + param_name
            if model_prefix.startswith(_HEAD):
                head_weights.entries.append((name, source, backbone_state[source]))
            elif name not in backbone_state:
                renamed[name] = source
                backbone_state[name] = backbone_state.pop(source)
    return renamed


def _convert_head(head_weights: _HeadWeights, head: nn.Module,
                  converted_backbone: ConvertedStateDict,
                  full_network: str | None) -> tuple[ConvertedStateDict, list[str]]:
    """Convert the head's weights, with notes on those that are not loaded."""
    model_state = {
        name: value
        for name, value in head.state_dict().items()
        if not _LOSS_KEYS.match(name)
    }
    converted_head, notes = ConvertedStateDict(converted_backbone.layout), []
    is_linear = all(name.startswith(("fc.", "norm.")) for name in model_state)
    skip_reason = ""
    if not head_weights.entries:
        skip_reason = "the file has no head"
    elif head_weights.is_linear and not is_linear:
        skip_reason = "the file's head is one linear layer, and the model's has more"
    elif full_network and converted_backbone.unexpected_keys:
        skip_reason = (
            "between the last feature map and the head the file has layers "
            f"({converted_backbone.unexpected_keys[0]}, ...) that this backbone drops; "
            f"{full_network} has them"
        )
    if skip_reason:
        converted_head.optional = frozenset(model_state)
        converted_head.unexpected_keys = [source for _, source, _ in head_weights.entries]
        return converted_head, [f"the head is left as initialized: {skip_reason}"]
    for name, source, value in head_weights.entries:
        converted_head.add(name, source, value)
    source_weight, weight = converted_head.tensors.get("fc.weight"), model_state.get("fc.weight")
    if (source_weight is not None and weight is not None
            and source_weight.shape[:1] != weight.shape[:1]):
        notes.append(f"the head's last layer is left as initialized: the file's is for "
                     f"{source_weight.shape[0]} classes, the model's for {weight.shape[0]}")
        for name in [name for name in converted_head.tensors if name.startswith("fc.")]:
            converted_head.unexpected_keys.append(converted_head.source_name(name))
            del converted_head.tensors[name]
        converted_head.optional = frozenset(name for name in model_state if name.startswith("fc."))
    return converted_head, notes


def _suggest_fix(converted_head: ConvertedStateDict, head: nn.Module) -> str:
    model_state = head.state_dict()
    if "norm.weight" in converted_head.tensors and "norm.weight" not in model_state:
        return ("the file has its norm after the pooling: set output_norms=False in the backbone "
                "and norm_cfg=dict(type='LN', eps=1e-6) in the head, or load the backbone only "
                "with backbone.init_cfg")
    return "set the arch of the file, or load the backbone only with backbone.init_cfg"
