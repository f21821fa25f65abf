"""What backbone a checkpoint holds: by the config that it carries, else by its tensors' names."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detkit.aliases import update_names
from detkit.checkpoints.config_text import parse_literals
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import WeightsError
from detkit.models.weights.backbone_weights import convert_backbone_state_dict
from detkit.models.weights.converted_state_dict import StateDict
from detkit.models.weights.state_dict import shorten, strip_backbone_prefixes, unwrap

_MAX_INT = 2**31
# What may say which network of a class it is.
_ARCH_KEYS = ("arch", "name", "depth")
# Parts that a backbone may have beside its arch's, which its weights then have too.
_OPTIONAL_MODULES = (".conv_offset.", ".attention.")


@dataclass(frozen=True)
class DetectedBackbone:
    """A backbone that was found in a checkpoint.

    Args:
        type: the name of its class, such as 'SwinTransformer'; None where it is not known.
        arch: which of that class, such as 'tiny' (a model of timm: its name); None where it is
            not known or has no name.
        description: what to call it in a sentence: "SwinTransformer 'tiny'".
        from_config: whether the config in the file says so; else its names do, and a class that
            wraps any network of timm may fit the file too.
    """

    type: str | None
    arch: str | None
    description: str
    from_config: bool = False


def detect_backbone(checkpoint: str | Path) -> DetectedBackbone:
    """Find out what backbone a checkpoint holds.

    Args:
        checkpoint: a file as ``load_checkpoint`` takes it: of a run of ours, of mmengine's other
            libraries, or weights in a layout that one of our backbones reads.

    Raises:
        WeightsError: the file cannot be read, or holds no tensors.
    """
    content = load_checkpoint(checkpoint)
    origin = str(checkpoint)
    state_dict = unwrap(content, origin)
    config_result = _detect_by_config(content)
    if config_result is not None and config_result.arch is not None:
        return config_result
    state, _ = strip_backbone_prefixes(state_dict, None, origin)
    result = _detect_by_keys(state)
    if result is None:
        return config_result or DetectedBackbone(
            None, None, f"no backbone that detkit knows by its names ({shorten(state, 3)})")
    if config_result is not None and config_result.type != result.type:
        return config_result
    return DetectedBackbone(result.type, result.arch, result.description, config_result is not None)


def describe_backbone(class_name: str, arch: str | None) -> str:
    """A backbone in a sentence: "SwinTransformer 'tiny'", or its class alone."""
    return class_name if arch is None else f"{class_name} '{arch}'"


def _detect_by_config(content: Mapping[str, Any]) -> DetectedBackbone | None:
    meta = content.get("meta")
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    backbone = _parse_backbone_cfg(text) if isinstance(text, str) else None
    if not backbone or not isinstance(backbone.get("type"), str):
        return None
    update_names(backbone)
    class_name = backbone["type"].rpartition(".")[2]
    arch = next((backbone[key] for key in _ARCH_KEYS if backbone.get(key) is not None), None)
    if arch is None and _is_detkit_config(text or ""):
        arch = _default_arch(class_name)
    # An int of thousands of digits has no text.
    is_small_int = isinstance(arch, int) and abs(arch) < _MAX_INT
    arch_name = str(arch) if isinstance(arch, str) or is_small_int else None
    return DetectedBackbone(class_name, arch_name, describe_backbone(class_name, arch_name),
                            from_config=True)


def _parse_backbone_cfg(text: str) -> dict[str, Any] | None:
    """``model.backbone`` of a config text, or the outermost backbone of a wrapped model."""
    try:
        level = [parse_literals(text, names=("model",)).get("model")]
    except WeightsError:
        return None
    while level:
        for value in level:
            if isinstance(value, dict) and "backbone" in value:
                return value["backbone"] if isinstance(value["backbone"], dict) else None
        level = [item for value in level if isinstance(value, (dict, list, tuple))
                 for item in (value.values() if isinstance(value, dict) else value)]
    return None


def _is_detkit_config(text: str) -> bool:
    return "default_scope = 'detkit'" in text


def _default_arch(class_name: str) -> Any:
    from detkit.models import backbones

    target = getattr(backbones, class_name, None)
    parameter = inspect.signature(target).parameters.get("arch") if target else None
    return None if parameter is None else parameter.default


def _detect_by_keys(state: StateDict) -> DetectedBackbone | None:
    """The class whose adapter knows the names, and which arch of it fits."""
    if state and all(name.startswith("body.") for name in state):
        return DetectedBackbone("TimmBackbone", None,
                                "a TimmBackbone of a name that it does not say")
    for class_name, (archs, variants) in _candidate_archs().items():
        smallest = next(iter(archs))
        for variant in variants:
            if _first_mismatch(state, class_name, smallest, variant) is not None:
                arch = next((arch for arch in archs
                             if _first_mismatch(state, class_name, arch, variant) == ""), None)
                return DetectedBackbone(class_name, arch, describe_backbone(class_name, arch))
    return None


def _candidate_archs() -> dict[str, tuple[Iterable[str], tuple[dict[str, Any], ...]]]:
    """Of each class its arches, and the arguments that a file may have been made for."""
    from detkit.models.backbones.convnextv2 import archs as convnextv2_archs
    from detkit.models.backbones.efficientnet import archs as efficientnet_archs
    from detkit.models.backbones.swin import archs as swin_archs
    paddings = tuple(dict(padding=padding, norm_eps=1e-3) for padding in ("symmetric", "same"))
    return {
        "SwinTransformer": (tuple(swin_archs.ARCHS), ({},)),
        "ConvNeXtV2": (tuple(convnextv2_archs.ARCHS), ({},)),
        # The small one first, for each that is tried is built.
        "EfficientNet": (("micro", *efficientnet_archs.ARCHS), paddings),
    }


def _first_mismatch(state: StateDict, class_name: str, arch: str, variant: dict[str,
                                                                                Any]) -> str | None:
    """The first name in which the file and the arch differ, '' where there is none.

    None where the file has no layout of the class.
    """
    from detkit.models import backbones

    with torch.device("meta"):
        model: nn.Module = getattr(backbones, class_name)(arch=arch, **variant)
    try:
        result = convert_backbone_state_dict(state, model, class_name)
    except WeightsError:
        return None
    model_state = model.state_dict()
    for name, value in model_state.items():
        if name not in result.tensors and name not in result.optional:
            return name
        if name in result.tensors and result.tensors[name].shape != value.shape:
            return name
    unexpected = (name for name in result.tensors
                  if name not in model_state and not any(extra in name
                                                         for extra in _OPTIONAL_MODULES))
    return next(unexpected, "")
