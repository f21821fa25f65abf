"""What backbone a checkpoint holds: by the config that it carries, else by its tensors' names."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detkit.checkpoints.read_checkpoint import read_checkpoint
from detkit.errors import WeightsError
from detkit.models.weights.backbone_weights import translate_backbone
from detkit.models.weights.converted_state_dict import StateDict
from detkit.models.weights.state_dict import backbone_names, some, unwrapped

_LARGEST = 2**31
# What may say which network of a class it is.
_ARCH_KEYS = ("arch", "name", "depth")
# Parts that a backbone may have beside its arch's, which its weights then have too.
_EXTRAS = (".conv_offset.", ".attention.")


@dataclass(frozen=True)
class BackboneOrigin:
    """A backbone that was found in a checkpoint.

    Args:
        type: the name of its class, such as 'SwinTransformer'; None where it is not known.
        arch: which of that class, such as 'tiny' (a model of timm: its name); None where it is
            not known or has no name.
        description: what to call it in a sentence: "SwinTransformer 'tiny'".
        by_config: whether the config in the file says so; else its names do, and a class that
            wraps any network of timm may fit the file too.
    """

    type: str | None
    arch: str | None
    description: str
    by_config: bool = False


def backbone_in(checkpoint: str | Path) -> BackboneOrigin:
    """Find out what backbone a checkpoint holds.

    Args:
        checkpoint: a file as ``read_checkpoint`` takes it: of a run of ours, of mmengine's other
            libraries, or weights in a layout that one of our backbones reads.

    Raises:
        WeightsError: the file cannot be read, or holds no tensors.
    """
    content = read_checkpoint(checkpoint)
    origin = str(checkpoint)
    names = unwrapped(content, origin)
    told = _by_config(content)
    if told is not None and told.arch is not None:
        return told
    state, _ = backbone_names(names, None, origin)
    found = _by_names(state)
    if found is None:
        return told or BackboneOrigin(
            None, None, f"no backbone that detkit knows by its names ({some(state, 3)})")
    if told is not None and told.type != found.type:
        return told
    return BackboneOrigin(found.type, found.arch, found.description, told is not None)


def described(kind: str, arch: str | None) -> str:
    """A backbone in a sentence: "SwinTransformer 'tiny'", or its class alone."""
    return kind if arch is None else f"{kind} '{arch}'"


def _by_config(content: Mapping[str, Any]) -> BackboneOrigin | None:
    meta = content.get("meta")
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    backbone = _backbone_of(text) if isinstance(text, str) else None
    if not backbone or not isinstance(backbone.get("type"), str):
        return None
    kind = backbone["type"].rpartition(".")[2]
    arch = next((backbone[key] for key in _ARCH_KEYS if backbone.get(key) is not None), None)
    if arch is None and _is_ours(text or ""):
        arch = _default_arch(kind)
    # An int of thousands of digits has no text.
    number = isinstance(arch, int) and abs(arch) < _LARGEST
    named = str(arch) if isinstance(arch, str) or number else None
    return BackboneOrigin(kind, named, described(kind, named), by_config=True)


def _backbone_of(text: str) -> dict[str, Any] | None:
    """``model.backbone`` of a config's text, read as literals and never executed."""
    try:
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "model":
                for value in _values_of(node.value, "backbone"):
                    found = ast.literal_eval(_CallsAsDicts().visit(value))
                    return found if isinstance(found, dict) else None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pass
    return None


def _values_of(node: ast.expr, key: str) -> Iterable[ast.expr]:
    """What stands under ``key`` in ``dict(...)`` or ``{...}``, at any depth, the outer first."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            yield from (keyword.value for keyword in inner.keywords if keyword.arg == key)
        elif isinstance(inner, ast.Dict):
            yield from (value for name, value in zip(inner.keys, inner.values)
                        if isinstance(name, ast.Constant) and name.value == key)


class _CallsAsDicts(ast.NodeTransformer):
    """``dict(a=1)`` -> ``{'a': 1}``, and inf and nan -> None, as ``literal_eval`` takes them."""

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        plain = isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
        if not plain or any(keyword.arg is None for keyword in node.keywords):
            return node
        return ast.Dict(keys=[ast.Constant(keyword.arg) for keyword in node.keywords],
                        values=[keyword.value for keyword in node.keywords])

    def visit_Name(self, node: ast.Name) -> ast.AST:  # noqa: N802
        return ast.Constant(None) if node.id in ("inf", "nan") else node


def _is_ours(text: str) -> bool:
    return "default_scope = 'detkit'" in text


def _default_arch(kind: str) -> Any:
    from detkit.models import backbones

    target = getattr(backbones, kind, None)
    parameter = inspect.signature(target).parameters.get("arch") if target else None
    return None if parameter is None else parameter.default


def _by_names(state: StateDict) -> BackboneOrigin | None:
    """The class whose adapter knows the names, and which arch of it fits."""
    if state and all(name.startswith("body.") for name in state):
        return BackboneOrigin("TimmBackbone", None, "a TimmBackbone of a name that it does not say")
    for kind, (archs, built_as) in _published().items():
        smallest = next(iter(archs))
        for more in built_as:
            if _missing_of(state, kind, smallest, more) is not None:
                arch = next((arch for arch in archs
                             if _missing_of(state, kind, arch, more) == ""), None)
                return BackboneOrigin(kind, arch, described(kind, arch))
    return None


def _published() -> dict[str, tuple[Iterable[str], tuple[dict[str, Any], ...]]]:
    """Of each class its arches, and the arguments that a file may have been made for."""
    from detkit.models.backbones.convnextv2 import archs as convnextv2_archs
    from detkit.models.backbones.efficientnet import archs as efficientnet_archs
    from detkit.models.backbones.swin import archs as swin_archs
    paddings = tuple(dict(padding=padding, norm_eps=1e-3) for padding in ("symmetric", "same"))
    return {
        "SwinTransformer": (tuple(swin_archs.ARCHS), ({},)),
        "ConvNeXtV2": (tuple(convnextv2_archs.ARCHS), ({},)),
        # The small one first, for each that is tried is built.
        "EfficientNet": (("nano", *efficientnet_archs.ARCHS), paddings),
    }


def _missing_of(state: StateDict, kind: str, arch: str, more: dict[str, Any]) -> str | None:
    """The first name in which the file and the arch differ, '' where there is none.

    None where the file has no layout of the class.
    """
    from detkit.models import backbones

    with torch.device("meta"):
        net: nn.Module = getattr(backbones, kind)(arch=arch, **more)
    try:
        found = translate_backbone(state, net, kind)
    except WeightsError:
        return None
    own = net.state_dict()
    for name, value in own.items():
        if name not in found.tensors and name not in found.optional:
            return name
        if name in found.tensors and found.tensors[name].shape != value.shape:
            return name
    more_names = (name for name in found.tensors
                  if name not in own and not any(extra in name for extra in _EXTRAS))
    return next(more_names, "")
