"""Detect the backbone in a checkpoint by its config, else by the names of its tensors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detkit.aliases import update_names
from detkit.checkpoints.config_text import parse_literals
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import WeightsError
from detkit.models import backbones  # noqa: F401  (registers them)
from detkit.models.weights.backbone_weights import convert_backbone_state_dict
from detkit.models.weights.converted_state_dict import StateDict
from detkit.models.weights.state_dict import strip_backbone_prefixes, unwrap
from detkit.registry import MODELS
from detkit.text import list_names

_MAX_INT = 2**31
# Arguments that select the architecture of a class.
_ARCH_KEYS = ("arch", "name", "depth")
# Modules that a backbone may have in addition to those of its architecture.
_OPTIONAL_MODULES = (".conv_offset.", ".attention.")


@dataclass(frozen=True)
class DetectedBackbone:
    """The backbone in a checkpoint.

    Args:
        type: the name of its class, such as 'SwinTransformer'; None if unknown.
        arch: the architecture, such as 'tiny' (for timm: the name of the model); None if unknown
            or unnamed.
        description: for messages: "SwinTransformer 'tiny'".
        from_config: whether it comes from the config in the file; otherwise from the tensor
            names, and a class that wraps any network of timm may fit as well.
    """

    type: str | None
    arch: str | None
    description: str
    from_config: bool = False


def detect_backbone(checkpoint: str | Path) -> DetectedBackbone:
    """Detect the backbone in a checkpoint.

    Args:
        checkpoint: a file as ``load_checkpoint`` takes it: of a run of detkit or another library of
            mmengine, or weights in a layout that a registered backbone converts.

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
            None, None, f"an unknown backbone with the names {list_names(state, 3)})")
    if config_result is not None and config_result.type != result.type:
        return config_result
    return DetectedBackbone(result.type, result.arch, result.description, config_result is not None)


def describe_backbone(class_name: str, arch: str | None) -> str:
    """Describe a backbone for messages: "SwinTransformer 'tiny'", or its class only."""
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
    # str() fails for integers of thousands of digits.
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
    target = MODELS.module_dict.get(class_name)
    parameter = inspect.signature(target).parameters.get("arch") if target else None
    return None if parameter is None else parameter.default


def _detect_by_keys(state: StateDict) -> DetectedBackbone | None:
    """The registered class whose ``checkpoint_filter_fn`` knows the names, and its architecture."""
    for backbone_type in MODELS.module_dict.values():
        class_name = backbone_type.__name__
        prefix = getattr(backbone_type, "state_dict_prefix", None)
        if prefix and state and all(name.startswith(prefix) for name in state):
            return DetectedBackbone(class_name, None,
                                    f"a {class_name} whose model name is not in the file")
        archs: tuple[str, ...] = getattr(backbone_type, "arch_names", ())
        variants: tuple[dict[str, Any], ...] = getattr(backbone_type, "arch_variants", ({},))
        for variant in variants if archs else ():
            if _first_mismatch(state, backbone_type, archs[0], variant) is not None:
                arch = next((arch for arch in archs
                             if _first_mismatch(state, backbone_type, arch, variant) == ""), None)
                return DetectedBackbone(class_name, arch, describe_backbone(class_name, arch))
    return None


def _first_mismatch(state: StateDict, backbone_type: type[nn.Module], arch: str,
                    variant: Mapping[str, Any]) -> str | None:
    """The first name that differs between the file and the architecture, '' if none.

    None where the file has no layout of the class.
    """
    with torch.device("meta"):
        model = backbone_type(arch=arch, **variant)
    try:
        result = convert_backbone_state_dict(state, model, backbone_type.__name__)
    except WeightsError:
        return None
    model_state = model.state_dict()
    for name, value in model_state.items():
        if name not in result.tensors and name not in result.optional:
            return name
        if name in result.tensors and result.tensors[name].shape != value.shape:
            return name
    unexpected = (
        name
        for name in result.tensors
        if name not in model_state and not any(extra in name for extra in _OPTIONAL_MODULES)
    )
    return next(unexpected, "")
