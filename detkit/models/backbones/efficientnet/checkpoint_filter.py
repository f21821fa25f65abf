"""Checkpoint conversion of EfficientNet: layouts of torchvision, timm, lukemelas and detkit.

The layout is detected by the names. The tensors are the same in all, for versions 1, 2 and Lite,
but a checkpoint does not tell its padding and eps. torchvision never pads as
TensorFlow does and lukemelas always does, so a backbone with the other padding is rejected. timm
has both under the same names: its tf_ models ('same', 1e-3) and its others ('symmetric', 1e-5)
differ in what the file says beside its tensors at most (``source_arch.py``); where it says nothing
a warning names both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol, cast

from torch import nn

from detkit.errors import WeightsError
from detkit.models.backbones.efficientnet.archs import BlockGroup, EfficientNetArch
from detkit.models.weights.converted_state_dict import (
    ClassifierPrefixes,
    ConvertedStateDict,
    StateDict,
    unknown_layout_error,
)
from detkit.models.weights.source_arch import SourceArch

_BATCH_COUNTER = ".num_batches_tracked"
_OFFSET = re.compile(r"\.conv_offset\.")
_CLASSIFIER = re.compile(r"^(classifier(\.1)?|_fc)\.(weight|bias)$")

# What weights in timm's layout were trained with: those of tf_ models, and the others.
_SAME, _SYMMETRIC = "padding='same', norm_eps=0.001", "padding='symmetric', norm_eps=1e-05"

NamePairs = Iterator[tuple[str, str]]


class _Network(Protocol):
    """The attributes of an ``EfficientNet`` that are read here."""

    arch: EfficientNetArch
    padding: str
    norm_eps: float
    norm_eps_is_given: bool


def efficientnet_checkpoint_filter_fn(state_dict: StateDict,
                                      model: nn.Module) -> ConvertedStateDict:
    """Rename an EfficientNet checkpoint to the names of ``EfficientNet``.

    Args:
        state_dict: names without wrappers and prefixes.
        model: an ``EfficientNet``; its blocks, padding and eps are used.

    Raises:
        WeightsError: the names are of no known layout, or the weights of the layout were trained
            with another padding or eps than the backbone has.
    """
    efficientnet = cast(_Network, model)
    layout = _layout(state_dict)
    _check_padding_and_eps(layout, efficientnet)
    model_state = model.state_dict()
    # Old checkpoints have no num_batches_tracked.
    converted = ConvertedStateDict(
        layout, optional=frozenset(n for n in model_state if n.endswith(_BATCH_COUNTER)))
    module_names = None if layout == "detkit" else dict(_module_name_pairs(layout, efficientnet))
    for source, value in state_dict.items():
        module_name, _, param_name = source.rpartition(".")
        name = source if module_names is None else (
            f"{module_names.get(module_name, module_name)}.{param_name}")
        if module_names is not None and module_name not in module_names and name in model_state:
            # A name of detkit's layout in a file of another layout is unexpected.
            name = f"{layout}.{source}"
        if name not in model_state and (_CLASSIFIER.match(source)
                                        or _is_unused_module(name, model_state)):
            converted.unexpected_keys.append(source)
        else:
            converted.add(name, source, value)
    # A deformable network can be initialized from a plain one.
    converted.allow_missing(model_state, _OFFSET)
    return converted


def efficientnet_classifier_prefixes(
    state_dict: StateDict, model: nn.Module
) -> ClassifierPrefixes:
    """Where torchvision's, timm's and lukemelas' EfficientNets keep the last layer."""
    return {"head.fc.": ("classifier.1.", "classifier.", "_fc.")}


def check_efficientnet_source(
    model: nn.Module, layout: str, source: SourceArch | None
) -> str | None:
    """Compare padding and eps with those of the model of timm that a file says it holds.

    Args:
        model: an ``EfficientNet``.
        layout: of the file; only timm's can have either padding.
        source: what the file says; None if nothing.

    Returns:
        a warning where the file does not say it, or where its name contradicts the backbone.

    Raises:
        WeightsError: the weights were trained with another padding or eps.
    """
    if layout != "timm":
        return None
    efficientnet = cast(_Network, model)
    given = f"padding='{efficientnet.padding}', norm_eps={efficientnet.norm_eps:g}"
    if source is None:
        return (f"timm's layout does not tell the padding: weights of a tf_ model need {_SAME}, "
                f"of any other {_SYMMETRIC}; this backbone has {given}")
    if source.is_tensorflow == (efficientnet.padding == "same"):
        return None
    trained = _SAME if source.is_tensorflow else _SYMMETRIC
    if not source.is_certain:
        return (f"{source.evidence} is that of timm's {source.name}, whose weights need "
                f"{trained}; this backbone has {given}, which is right for a tf_ model only")
    raise WeightsError(
        f"{source.evidence} says {source.name}, whose weights were trained with another padding",
        got=f"a backbone with {given}", expected=trained,
        hint=f"set {trained}")


def _layout(state_dict: StateDict) -> str:
    names = " ".join(state_dict)
    for layout, pattern in (
        ("timm", r"(^| )blocks\.\d+\.\d+\.(conv|conv_\w+|bn\d)\."),
        ("torchvision", r"(^| )features\.\d+\.\d+\.block\."),
        ("lukemelas", r"(^| )_blocks\.\d+\._\w+\."),
        ("detkit", r"(^| )stages\.\d+\.\d+\.(depthwise|fused)\."),
    ):
        if re.search(pattern, names):
            return layout
    raise unknown_layout_error("an EfficientNet", state_dict,
                               "torchvision, timm, lukemelas or detkit")


def _check_padding_and_eps(layout: str, efficientnet: _Network) -> None:
    """Reject weights whose layout implies another padding or eps."""
    trained = {
        "torchvision": [("symmetric", efficientnet.arch.norm_eps)],
        "timm": [("symmetric", 1e-5), ("same", 1e-3)],
        "lukemelas": [("same", 1e-3)],
    }.get(layout, [(efficientnet.padding, efficientnet.norm_eps)])
    for padding, eps in trained:
        if padding == efficientnet.padding and (efficientnet.norm_eps_is_given
                                                or eps == efficientnet.norm_eps):
            return
    choices = " or ".join(f"padding='{padding}', norm_eps={eps:g}" for padding, eps in trained)
    raise WeightsError(
        f"weights in the layout of {layout} were trained with another padding or eps",
        got=f"a backbone with padding='{efficientnet.padding}', norm_eps={efficientnet.norm_eps:g}",
        expected=choices + (" (the latter for models whose name begins with tf_)"
                            if layout == "timm" else ""),
    )


def _is_unused_module(name: str, model_state: StateDict) -> bool:
    """Whether the name is of a stage or head that the model lacks, or a batch counter."""
    match = re.match(r"(stages\.\d+|head_conv)\.", name)
    if match and not any(other.startswith(match[0]) for other in model_state):
        return True
    norm = name.removesuffix(_BATCH_COUNTER)
    return norm != name and f"{norm}.weight" in model_state


def _module_name_pairs(layout: str, efficientnet: _Network) -> NamePairs:
    """(source name, model name) of each module with parameters, for the whole architecture."""
    groups = efficientnet.arch.scaled
    stem_head_names = {
        "timm": ("conv_stem", "bn1", "conv_head", "bn2"),
        "torchvision": ("features.0.0", "features.0.1", f"features.{len(groups) + 1}.0",
                        f"features.{len(groups) + 1}.1"),
        "lukemelas": ("_conv_stem", "_bn0", "_conv_head", "_bn1"),
    }[layout]
    yield from zip(stem_head_names, ("stem.conv", "stem.norm", "head_conv.conv", "head_conv.norm"))
    block_index = 0
    for stage, rows in enumerate(efficientnet.arch.stages):
        block = 0
        for row in rows:
            for repeat in range(groups[row].repeats):
                source_prefix = {
                    "timm": f"blocks.{row}.{repeat}",
                    "torchvision": f"features.{row + 1}.{repeat}.block",
                    "lukemelas": f"_blocks.{block_index}",
                }[layout]
                for source_name, model_name in _BLOCK_MODULE_NAMES[layout](groups[row]):
                    yield f"{source_prefix}.{source_name}", f"stages.{stage}.{block}.{model_name}"
                block, block_index = block + 1, block_index + 1


def _convolutions(group: BlockGroup) -> list[str]:
    """The model names of a block's convolutions with norms, in order."""
    has_expansion = group.expansion != 1
    if group.kind == "fused":
        return ["fused", "project"] if has_expansion else ["fused"]
    return ["expand", "depthwise", "project"] if has_expansion else ["depthwise", "project"]


def _timm_block_modules(group: BlockGroup) -> NamePairs:
    has_expansion = group.expansion != 1
    # 'pw' is the expansion if there is one, else the projection.
    conv = {
        "expand": "conv_pw",
        "depthwise": "conv_dw",
        "fused": "conv_exp" if has_expansion else "conv",
        "project": "conv_pwl" if has_expansion else "conv_pw",
    }
    for index, conv_name in enumerate(_convolutions(group), 1):
        yield conv[conv_name], f"{conv_name}.conv"
        yield f"bn{index}", f"{conv_name}.norm"
    yield from (("se.conv_reduce", "se.reduce"), ("se.conv_expand", "se.expand"))


def _torchvision_block_modules(group: BlockGroup) -> NamePairs:
    index = 0
    for conv_name in _convolutions(group):
        if conv_name == "project" and group.squeeze:
            yield from ((f"{index}.fc1", "se.reduce"), (f"{index}.fc2", "se.expand"))
            index += 1
        yield f"{index}.0", f"{conv_name}.conv"
        yield f"{index}.1", f"{conv_name}.norm"
        index += 1


def _lukemelas_block_modules(group: BlockGroup) -> NamePairs:
    # The indices of norms do not depend on the expansion. There are no fused blocks.
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    for conv_name in _convolutions(group):
        if conv_name in norm:
            yield f"_{conv_name}_conv", f"{conv_name}.conv"
            yield norm[conv_name], f"{conv_name}.norm"
    yield from (("_se_reduce", "se.reduce"), ("_se_expand", "se.expand"))


_BLOCK_MODULE_NAMES = {
    "timm": _timm_block_modules, "torchvision": _torchvision_block_modules,
    "lukemelas": _lukemelas_block_modules
}
