"""Weights from anywhere into our backbones: whole, or refused with the names that do not fit.

Each architecture brings an adapter that knows the layouts its weights are published in; a new
one is a line in ``ADAPTERS`` and a file beside this one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from detkit.errors import ConfigError, WeightsError
from detkit.models.checkpoint_file import read_checkpoint
from detkit.models.translation import StateDict, Translation
from detkit.models.weights_convnextv2 import translate_convnextv2
from detkit.models.weights_efficientnet import translate_efficientnet
from detkit.models.weights_swin import translate_swin
from detkit.models.weights_timm import translate_timm

Adapter = Callable[[StateDict, nn.Module], Translation]

ADAPTERS: dict[str, Adapter] = {
    "ConvNeXtV2": translate_convnextv2,
    "EfficientNet": translate_efficientnet,
    "SwinTransformer": translate_swin,
    "TimmBackbone": translate_timm,
}

# Averaged weights before the last step's: a file that has both was published for the former.
# mmengine is not among them: its 'state_dict' already is the average.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "ema")
_PREFIXES = ("module.", "model.", "backbone.", "encoder.")


@dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint.

    Args:
        origin: the file, as it was given.
        layout: whose names it has.
        loaded: our parameters and buffers that were set.
        resized: those of them whose size was fitted.
        kept: ours that the file may lack and does (norms of outputs, offsets); they stay as is.
        unused: theirs that have no place here, such as the classification head.
    """

    origin: str
    layout: str
    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        text = f"weights of {self.origin} ({self.layout} layout): {len(self.loaded)} tensors loaded"
        if self.resized:
            text += f"; resized: {_some(self.resized)}"
        if self.kept:
            text += f"; not in the file, left as initialised: {_some(self.kept)}"
        if self.unused:
            text += f"; not needed here: {_some(self.unused)}"
        return text


def initialise_from(
    backbone: nn.Module, init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
) -> None:
    """Do what mmengine's ``init_cfg`` asks for, 'Pretrained' by way of our loader and last.

    Raises:
        ConfigError: a step does not say its type, or a 'Pretrained' one its checkpoint.
        WeightsError: the checkpoint cannot be read, or does not fit.
    """
    if not init_cfg:
        return
    from mmengine.model import PretrainedInit, initialize

    named = ("Pretrained", PretrainedInit)
    steps = [init_cfg] if isinstance(init_cfg, Mapping) else list(init_cfg)
    for step in steps:
        if "type" not in step or (step["type"] in named and not step.get("checkpoint")):
            raise ConfigError(
                f"{type(backbone).__name__}: init_cfg",
                got=dict(step),
                expected="a type, as in dict(type='Pretrained', checkpoint=FILE)",
            )
    pretrained = [s for s in steps if s["type"] in named]
    others = [dict(step) for step in steps if step not in pretrained]
    if others:
        initialize(backbone, others)
    for step in pretrained:
        report = load_backbone_weights(backbone, step["checkpoint"], step.get("prefix"))
        print_log(str(report), logger="current", level=logging.INFO)


def load_backbone_weights(
    backbone: nn.Module,
    checkpoint: str | Path | Mapping[str, Any],
    prefix: str | None = None,
) -> LoadReport:
    """Set every parameter of a backbone from a checkpoint, or none of them.

    Args:
        backbone: one whose class has an entry in ``ADAPTERS``.
        checkpoint: a file as ``read_checkpoint`` takes it, or what it returns.
        prefix: take only the names that begin so; None finds common prefixes out.

    Raises:
        WeightsError: the file cannot be read; no layout is recognised; a parameter has no
            source or another shape; the file has parameters that the backbone lacks.
    """
    if isinstance(checkpoint, Mapping):
        origin, content = "the given dict", dict(checkpoint)
    else:
        origin, content = str(checkpoint), read_checkpoint(checkpoint)
    tensors, elsewhere = _strip(_unwrap(content, origin), prefix, origin)
    try:
        translation = _adapter_of(backbone)(tensors, backbone)
    except WeightsError as error:
        raise WeightsError(
            f"checkpoint '{origin}': {error.what}", got=error.got, expected=error.expected
        ) from error
    own = {name: value for name, value in backbone.state_dict(keep_vars=True).items()}
    missing = [n for n in own if n not in translation.tensors and n not in translation.optional]
    unexpected = [translation.source(n) for n in translation.tensors if n not in own]
    misshapen = [
        f"{name} is {tuple(value.shape)}, '{translation.source(name)}' of the file is "
        f"{tuple(translation.tensors[name].shape)}"
        for name, value in own.items()
        if name in translation.tensors and value.shape != translation.tensors[name].shape
    ]
    if missing or unexpected or misshapen:
        problems = [
            f"missing {_some(missing)}" if missing else "",
            f"unexpected {_some(unexpected)}" if unexpected else "",
            f"shapes differ: {_some(misshapen)}" if misshapen else "",
        ]
        raise WeightsError(
            f"checkpoint '{origin}' ({translation.layout} layout) does not fit "
            f"{type(backbone).__name__}: " + "; ".join(filter(None, problems)),
            do="nothing was loaded; choose the arch that the file was made for",
        )
    with torch.no_grad():
        for name, value in translation.tensors.items():
            own[name].copy_(value)
    return LoadReport(
        origin=origin,
        layout=translation.layout,
        loaded=tuple(translation.tensors),
        resized=tuple(translation.resized),
        kept=tuple(name for name in own if name not in translation.tensors),
        unused=tuple(translation.unused) + tuple(elsewhere),
    )


def _adapter_of(backbone: nn.Module) -> Adapter:
    for cls in type(backbone).__mro__:
        if cls.__name__ in ADAPTERS:
            return ADAPTERS[cls.__name__]
    raise WeightsError(
        "no layout of weights is known for this backbone",
        got=type(backbone).__name__,
        expected=f"one of {', '.join(ADAPTERS)}",
    )


def _unwrap(content: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
    """The names and tensors inside what their maker put around them."""
    for _ in range(4):
        if any(isinstance(value, Tensor) for value in content.values()):
            return content
        inside = [content[k] for k in _WRAPPERS if isinstance(content.get(k), Mapping)]
        if not inside:
            break
        content = inside[0]
    raise WeightsError(
        f"checkpoint '{origin}': no weights in it",
        got=f"the keys {_some([str(key) for key in content])}" if content else "an empty dict",
        expected=f"names and tensors, maybe under one of {', '.join(_WRAPPERS)}",
    )


def _strip(
    content: Mapping[str, Any], prefix: str | None, origin: str
) -> tuple[StateDict, list[str]]:
    """Cut common prefixes off; where some names are a backbone's, only those are taken.

    Returns:
        the tensors, and the names of what was not taken.
    """
    tensors = {name: value for name, value in content.items()
               if isinstance(name, str) and isinstance(value, Tensor)}
    elsewhere: list[str] = [str(name) for name in content if name not in tensors]
    pending = [prefix if prefix.endswith(".") else f"{prefix}."] if prefix else list(_PREFIXES)
    while pending:
        found = [p for p in pending if any(name.startswith(p) for name in tensors)]
        if not found:
            break
        pending.remove(found[0])
        elsewhere += [name for name in tensors if not name.startswith(found[0])]
        tensors = {
            name.removeprefix(found[0]): value
            for name, value in tensors.items()
            if name.startswith(found[0])
        }
    if prefix and pending:
        raise WeightsError(
            f"checkpoint '{origin}': no name in it begins with '{prefix}'",
            got=_some(list(tensors)),
        )
    return tensors, elsewhere


def _some(names: Iterable[str], limit: int = 8) -> str:
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
