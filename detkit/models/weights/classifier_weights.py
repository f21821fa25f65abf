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
    called,
    family_of,
    initialise_from,
    translate_backbone,
)
from detkit.models.weights.converted_state_dict import StateDict, Translation
from detkit.models.weights.load_weights import LoadReport, Part, report_of, set_all
from detkit.models.weights.state_dict import backbone_names, content_of, model_names

_BACKBONE, _HEAD = "backbone.", "head."
_OF_A_LOSS = re.compile(r"^loss")
_LEAVES = ("weight", "bias")
# Their names of the last layer, the longest first, and of the norm before it.
_LAST: dict[str, tuple[str, ...]] = {
    "SwinTransformer": ("head.fc.", "head."),
    "ConvNeXtV2": ("head.fc.", "head."),
    "EfficientNet": ("classifier.1.", "classifier.", "_fc."),
}
_NORM: dict[str, tuple[str, ...]] = {
    "SwinTransformer": ("norm.",),
    "ConvNeXtV2": ("head.norm.", "norm."),
}
_TIMMS = ("TimmBackbone", "TimmNetwork", "TeachingNetwork")


@dataclass
class _Behind:
    """What stands behind the backbone in a file.

    Args:
        names: (our name in the head, the file's name, the tensor) of each.
        plain: whether it is one linear layer, with a norm at most, as other libraries have.
    """

    names: list[tuple[str, str, Tensor]] = field(default_factory=list)
    plain: bool = True


def initialise_classifier(
    model: nn.Module, init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
) -> None:
    """Do what a classifier's ``init_cfg`` asks for, 'Pretrained' by ``load_classifier_weights``.

    Raises:
        ConfigError: a step does not say its type, or a 'Pretrained' one its checkpoint.
        WeightsError: the checkpoint cannot be read, or does not fit.
    """
    initialise_from(model, init_cfg, load_classifier_weights)


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
    origin, content = content_of(checkpoint)
    names, elsewhere = model_names(content, prefix, origin)
    whole = any(name.startswith(_BACKBONE) for name in names)
    if whole:
        behind = _own_behind(names)
        elsewhere += [name for name in names if not name.startswith((_BACKBONE, _HEAD))]
        inner, outer = backbone_names(
            {n.removeprefix(_BACKBONE): v for n, v in names.items() if n.startswith(_BACKBONE)},
            None, origin)
        elsewhere += outer
    else:
        behind, (inner, outer) = _Behind(), backbone_names(names, None, origin)
        elsewhere += outer
    family = family_of(backbone)
    _take_foreign(inner, backbone, family, behind, has_head=whole and bool(behind.names))
    renamed = _norm_into_swin(inner, backbone) if family == "SwinTransformer" else {}
    body = translate_backbone(inner, backbone, origin)
    body.sources.update({ours: renamed[source] for ours, source in body.sources.items()
                         if source in renamed})
    taken = {source for _, source, _ in behind.names}
    body.unused = [renamed.get(name, name) for name in body.unused if name not in taken]
    translation, notes = _into_head(behind, head, body, family)
    outside = frozenset(name for name in head.state_dict() if _OF_A_LOSS.match(name))
    parts = [Part(_BACKBONE, backbone, body), Part(_HEAD, head, translation, outside)]
    set_all(parts, origin, f"{type(model).__name__} of {called(backbone)}",
            _remedy(translation, head))
    return report_of(parts, origin, elsewhere, notes)


def _own_behind(names: StateDict) -> _Behind:
    """The head of a file of ours or mmpretrain's, without the numbers of its loss."""
    found = [(name.removeprefix(_HEAD), name, value) for name, value in names.items()
             if name.startswith(_HEAD)]
    found = [row for row in found if not _OF_A_LOSS.match(row[0])]
    return _Behind(found, all(name.startswith(("fc.", "norm.")) for name, _, _ in found))


def _take_foreign(
    inner: StateDict, backbone: nn.Module, family: str | None, behind: _Behind, has_head: bool
) -> None:
    """File final norm and last layer, as another library names them, under our head's names."""
    wanted = [] if has_head else [("fc.", _last_layer(backbone, family))]
    if family == "ConvNeXtV2":
        # mmpretrain keeps in the backbone the norm that it applies behind the pooling.
        mmpretrain = any(".depthwise_conv." in name for name in inner)
        wanted.append(("norm.", ("norm3.",) if mmpretrain else _NORM[family]))
    own = backbone.state_dict()
    for ours, theirs in wanted:
        # By either leaf: a file that lacks the other is to be refused by its name.
        prefix = next((one for one in theirs
                       if any(one + leaf in inner and one + leaf not in own for leaf in _LEAVES)),
                      None)
        if prefix is not None:
            behind.names += [(ours + leaf, prefix + leaf, inner[prefix + leaf])
                             for leaf in _LEAVES if prefix + leaf in inner]


def _last_layer(backbone: Any, family: str | None) -> tuple[str, ...]:
    """What the network's maker calls its last layer; the longest name first."""
    if family not in _TIMMS:
        return _LAST.get(family or "", ())
    entry = getattr(backbone, "entry", None)
    if entry is not None and entry.maker != "timm":
        return (f"{entry.last}.",) if entry.last else ()
    import timm

    cfg = timm.get_pretrained_cfg(str(backbone.name))
    name = cfg.classifier if cfg is not None else None
    return (f"{name}.",) if isinstance(name, str) else ()


def _norm_into_swin(inner: StateDict, backbone: Any) -> dict[str, str]:
    """Rename a classifier's final norm to that of the last stage's output, which is the same.

    Returns:
        from the new names to the file's.
    """
    last = backbone.out_indices[-1]
    if last != len(backbone.arch.depths) - 1:
        return {}
    renamed = {}
    for leaf in _LEAVES:
        if f"norm.{leaf}" in inner and f"norm{last}.{leaf}" not in inner:
            renamed[f"norm{last}.{leaf}"] = f"norm.{leaf}"
            inner[f"norm{last}.{leaf}"] = inner.pop(f"norm.{leaf}")
    return renamed


def _into_head(
    behind: _Behind, head: nn.Module, body: Translation, family: str | None
) -> tuple[Translation, list[str]]:
    """The head's translation, and what is to be said of what is left as it is."""
    own = {name: value for name, value in head.state_dict().items()
           if not _OF_A_LOSS.match(name)}
    translation, notes = Translation(body.layout), []
    plain = all(name.startswith(("fc.", "norm.")) for name in own)
    left = ""
    if not behind.names:
        left = "the file has no head"
    elif behind.plain and not plain:
        left = "the file's head is one linear layer, and this one has more"
    elif family == "TimmBackbone" and body.unused:
        left = ("between the backbone's last map and the head the file has layers "
                f"({body.unused[0]}, ...) that TimmBackbone leaves out; TimmNetwork has them")
    if left:
        translation.optional = frozenset(own)
        translation.unused = [source for _, source, _ in behind.names]
        return translation, [f"the head is left as initialised: {left}"]
    for name, source, value in behind.names:
        translation.put(name, source, value)
    theirs, ours = translation.tensors.get("fc.weight"), own.get("fc.weight")
    if theirs is not None and ours is not None and theirs.shape[:1] != ours.shape[:1]:
        notes.append(f"the head's last layer is left as initialised: the file's is for "
                     f"{theirs.shape[0]} classes, this one for {ours.shape[0]}")
        for name in [name for name in translation.tensors if name.startswith("fc.")]:
            translation.unused.append(translation.source(name))
            del translation.tensors[name]
        translation.optional = frozenset(name for name in own if name.startswith("fc."))
    return translation, notes


def _remedy(translation: Translation, head: nn.Module) -> str:
    own = head.state_dict()
    if "norm.weight" in translation.tensors and "norm.weight" not in own:
        return ("the file normalises behind the pooling: give the backbone output_norms=False and "
                "the head norm_cfg=dict(type='LN', eps=1e-6), or load the backbone alone by "
                "backbone.init_cfg")
    return "choose the arch that the file was made for, or load it by backbone.init_cfg"
