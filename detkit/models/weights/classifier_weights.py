"""A whole classifier's file, whoever wrote it, into ``ImageClassifier``: backbone, norm and head.

Backbones are read by their adapters (``detkit.models.weights``). What stands behind them, the
final norm and the last layer, bears another name in each layout; those names are here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from detkit.models.weights.backbone_weights import (
    convert_backbone_state_dict,
    display_name,
    initialize_weights,
    model_family,
)
from detkit.models.weights.converted_state_dict import ConvertedStateDict, StateDict
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
# Their names of the last layer, the longest first, and of the norm before it.
_CLASSIFIER_PREFIXES: dict[str, tuple[str, ...]] = {
    "SwinTransformer": ("head.fc.", "head."),
    "ConvNeXtV2": ("head.fc.", "head."),
    "EfficientNet": ("classifier.1.", "classifier.", "_fc."),
}
_NORM_PREFIXES: dict[str, tuple[str, ...]] = {
    "SwinTransformer": ("norm.",),
    "ConvNeXtV2": ("head.norm.", "norm."),
}
_TIMM_CLASSES = ("TimmBackbone", "TimmNetwork", "ClassicNetwork")


@dataclass
class _HeadWeights:
    """What stands behind the backbone in a file.

    Args:
        entries: (our name in the head, the file's name, the tensor) of each.
        is_linear: whether it is one linear layer, with a norm at most, as other libraries have.
    """

    entries: list[tuple[str, str, Tensor]] = field(default_factory=list)
    is_linear: bool = True


def initialize_classifier(
    model: nn.Module, init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
) -> None:
    """Do what a classifier's ``init_cfg`` asks for, 'Pretrained' by ``load_classifier_weights``.

    Raises:
        ConfigError: a step does not say its type, or a 'Pretrained' one its checkpoint.
        WeightsError: the checkpoint cannot be read, or does not fit.
    """
    initialize_weights(model, init_cfg, load_classifier_weights)


def load_classifier_weights(
    model: nn.Module,
    checkpoint: str | Path | Mapping[str, Any],
    prefix: str | None = None,
) -> LoadReport:
    """Set every parameter of a classifier from a checkpoint, or none of them.

    A last layer for another number of classes is left as it is, and so is the whole head where
    the file has none, or where other layers stand between in the file or in ours; the report
    says it.

    Args:
        model: an ``ImageClassifier`` whose backbone's class has a ``checkpoint_filter_fn``.
        checkpoint: a file as ``read_checkpoint`` takes it, or what it returns.
        prefix: take only the names that begin so; None finds common prefixes out.

    Raises:
        WeightsError: the file cannot be read; no layout is recognised; a parameter has no
            source or another shape; the file has parameters that the model lacks.
    """
    backbone, head = model.get_submodule("backbone"), model.get_submodule("head")
    origin, content = read_state_dict(checkpoint)
    state_dict, skipped_keys = strip_model_prefixes(content, prefix, origin)
    has_backbone_prefix = any(name.startswith(_BACKBONE) for name in state_dict)
    if has_backbone_prefix:
        head_weights = _prefixed_head(state_dict)
        skipped_keys += [name for name in state_dict if not name.startswith((_BACKBONE, _HEAD))]
        backbone_state, outer_keys = strip_backbone_prefixes(
            {
                n.removeprefix(_BACKBONE): v
                for n, v in state_dict.items()
                if n.startswith(_BACKBONE)
            }, None, origin)
        skipped_keys += outer_keys
    else:
        head_weights, (backbone_state, outer_keys) = _HeadWeights(), strip_backbone_prefixes(
            state_dict, None, origin)
        skipped_keys += outer_keys
    model_type = model_family(backbone)
    _extract_head(backbone_state, backbone, model_type, head_weights, has_head=has_backbone_prefix
                  and bool(head_weights.entries))
    renamed = _rename_swin_norm(backbone_state, backbone) if model_type == "SwinTransformer" else {}
    converted_backbone = convert_backbone_state_dict(backbone_state, backbone, origin)
    converted_backbone.sources.update({
        ours: renamed[source]
        for ours, source in converted_backbone.sources.items()
        if source in renamed
    })
    head_sources = {source for _, source, _ in head_weights.entries}
    converted_backbone.unexpected_keys = [
        renamed.get(name, name)
        for name in converted_backbone.unexpected_keys
        if name not in head_sources
    ]
    converted_head, notes = _convert_head(head_weights, head, converted_backbone, model_type)
    loss_keys = frozenset(name for name in head.state_dict() if _LOSS_KEYS.match(name))
    module_weights = [
        ModuleWeights(_BACKBONE, backbone, converted_backbone),
        ModuleWeights(_HEAD, head, converted_head, loss_keys)
    ]
    load_all_or_none(module_weights, origin, f"{type(model).__name__} of {display_name(backbone)}",
                     _suggest_fix(converted_head, head))
    return build_load_report(module_weights, origin, skipped_keys, notes)


def _prefixed_head(state_dict: StateDict) -> _HeadWeights:
    """The head of a file of ours or mmpretrain's, without the numbers of its loss."""
    entries = [(name.removeprefix(_HEAD), name, value)
               for name, value in state_dict.items()
               if name.startswith(_HEAD)]
    entries = [row for row in entries if not _LOSS_KEYS.match(row[0])]
    return _HeadWeights(entries, all(name.startswith(("fc.", "norm.")) for name, _, _ in entries))


def _extract_head(backbone_state: StateDict, backbone: nn.Module, model_type: str | None,
                  head_weights: _HeadWeights, has_head: bool) -> None:
    """File final norm and last layer, as another library names them, under our head's names."""
    candidates = [] if has_head else [("fc.", _classifier_prefixes(backbone, model_type))]
    if model_type == "ConvNeXtV2":
        # mmpretrain keeps in the backbone the norm that it applies behind the pooling.
        mmpretrain = any(".depthwise_conv." in name for name in backbone_state)
        candidates.append(("norm.", ("norm3.",) if mmpretrain else _NORM_PREFIXES[model_type]))
    model_state = backbone.state_dict()
    for ours, theirs in candidates:
        # By either leaf: a file that lacks the other is to be refused by its name.
        prefix = next((candidate for candidate in theirs if any(
            candidate + param_name in backbone_state and candidate + param_name not in model_state
            for param_name in _PARAM_NAMES)), None)
        if prefix is not None:
            head_weights.entries += [(ours + param_name, prefix + param_name,
                                      backbone_state[prefix + param_name])
                                     for param_name in _PARAM_NAMES
                                     if prefix + param_name in backbone_state]


def _classifier_prefixes(backbone: Any, model_type: str | None) -> tuple[str, ...]:
    """What the network's maker calls its last layer; the longest name first."""
    if model_type not in _TIMM_CLASSES:
        return _CLASSIFIER_PREFIXES.get(model_type or "", ())
    entry = getattr(backbone, "entry", None)
    if entry is not None and entry.library != "timm":
        return (f"{entry.classifier}.",) if entry.classifier else ()
    import timm

    cfg = timm.get_pretrained_cfg(str(backbone.name))
    name = cfg.classifier if cfg is not None else None
    return (f"{name}.",) if isinstance(name, str) else ()


def _rename_swin_norm(backbone_state: StateDict, backbone: Any) -> dict[str, str]:
    """Rename a classifier's final norm to that of the last stage's output, which is the same.

    Returns:
        from the new names to the file's.
    """
    last_stage = backbone.out_indices[-1]
    if last_stage != len(backbone.arch.depths) - 1:
        return {}
    renamed = {}
    for param_name in _PARAM_NAMES:
        if f"norm.{param_name}" in backbone_state and f"norm{last_stage}.{param_name}" not in backbone_state:
            renamed[f"norm{last_stage}.{param_name}"] = f"norm.{param_name}"
            backbone_state[f"norm{last_stage}.{param_name}"] = backbone_state.pop(
                f"norm.{param_name}")
    return renamed


def _convert_head(head_weights: _HeadWeights, head: nn.Module,
                  converted_backbone: ConvertedStateDict,
                  model_type: str | None) -> tuple[ConvertedStateDict, list[str]]:
    """The head's translation, and what is to be said of what is left as it is."""
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
        skip_reason = "the file's head is one linear layer, and this one has more"
    elif model_type == "TimmBackbone" and converted_backbone.unexpected_keys:
        skip_reason = (
            "between the backbone's last map and the head the file has layers "
            f"({converted_backbone.unexpected_keys[0]}, ...) that TimmBackbone leaves out; TimmNetwork has them"
        )
    if skip_reason:
        converted_head.optional = frozenset(model_state)
        converted_head.unexpected_keys = [source for _, source, _ in head_weights.entries]
        return converted_head, [f"the head is left as initialised: {skip_reason}"]
    for name, source, value in head_weights.entries:
        converted_head.add(name, source, value)
    theirs, ours = converted_head.tensors.get("fc.weight"), model_state.get("fc.weight")
    if theirs is not None and ours is not None and theirs.shape[:1] != ours.shape[:1]:
        notes.append(f"the head's last layer is left as initialised: the file's is for "
                     f"{theirs.shape[0]} classes, this one for {ours.shape[0]}")
        for name in [name for name in converted_head.tensors if name.startswith("fc.")]:
            converted_head.unexpected_keys.append(converted_head.source_name(name))
            del converted_head.tensors[name]
        converted_head.optional = frozenset(name for name in model_state if name.startswith("fc."))
    return converted_head, notes


def _suggest_fix(converted_head: ConvertedStateDict, head: nn.Module) -> str:
    model_state = head.state_dict()
    if "norm.weight" in converted_head.tensors and "norm.weight" not in model_state:
        return ("the file normalises behind the pooling: give the backbone output_norms=False and "
                "the head norm_cfg=dict(type='LN', eps=1e-6), or load the backbone alone by "
                "backbone.init_cfg")
    return "choose the arch that the file was made for, or load it by backbone.init_cfg"
