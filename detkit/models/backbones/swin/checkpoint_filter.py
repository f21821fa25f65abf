"""Checkpoint conversion of Swin: layouts of microsoft, timm, torchvision, mmdet and detkit.

The layout is detected by the names. The tensors of blocks are the same in all. They differ in
names, in the stage that has the patch merging, and mmdet concatenates the four merged tokens in
the channel order of torch's Unfold.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol, cast

import torch.nn.functional as F
from torch import Tensor, nn

from detkit.models.backbones.swin.archs import SwinArch
from detkit.models.weights.converted_state_dict import (
    ClassifierPrefixes,
    ConvertedStateDict,
    RenameRules,
    StateDict,
    unknown_layout_error,
)

# Buffers that follow from the window size, and the layers of a classifier after the stages.
_DERIVED_BUFFERS = re.compile(r"(^|\.)(relative_position_index|attn_mask)$")
_HEAD = re.compile(r"^(head|norm|avgpool|fc)\.")
_STAGE = re.compile(r"^stages\.(\d+)\.(?:(downsample)\.)?")
_NORM = re.compile(r"^norm(\d+)\.")

_DETKIT: RenameRules = [(r"^(patch_embed|stages|norm\d)\b", r"\1")]
_MICROSOFT: RenameRules = [
    (r"^layers[._](\d+)\.(blocks\.\d+|downsample)\.", r"stages.\1.\2."),
    (r"^(patch_embed\.(?:proj|norm)|norm\d)\.", r"\1."),
]
_MMDET: RenameRules = [
    (r"^(stages\.\d+\.blocks\.\d+\.attn)\.w_msa\.", r"\1."),
    (r"^(stages\.\d+\.blocks\.\d+)\.ffn\.layers\.0\.0\.", r"\1.mlp.fc1."),
    (r"^(stages\.\d+\.blocks\.\d+)\.ffn\.layers\.1\.", r"\1.mlp.fc2."),
    (r"^(stages\.\d+\.(?:blocks\.\d+\.norm\d|downsample\.(?:norm|reduction)))\.", r"\1."),
    (r"^patch_embed\.projection\.", r"patch_embed.proj."),
    (r"^(patch_embed\.norm|norm\d)\.", r"\1."),
]


class _Network(Protocol):
    """The attributes of a ``SwinTransformer`` that are read here."""

    arch: SwinArch
    out_indices: tuple[int, ...]


def swin_checkpoint_filter_fn(state_dict: StateDict, model: nn.Module) -> ConvertedStateDict:
    """Rename a Swin checkpoint to the names of ``SwinTransformer``.

    Args:
        state_dict: names without wrappers and prefixes.
        model: a ``SwinTransformer``; its stages and window size are used.

    Raises:
        WeightsError: the names are of no known layout.
    """
    layout = _layout(state_dict)
    model_state = model.state_dict()
    converted = ConvertedStateDict(layout)
    names = {source: _LAYOUT_RENAMERS[layout](source) for source in state_dict}
    stages = {match[1] for match in map(_STAGE.match, names.values()) if match}
    for source, value in state_dict.items():
        name = names[source]
        if _DERIVED_BUFFERS.search(source) or (_HEAD.match(source) and name not in model_state):
            converted.unexpected_keys.append(source)
        elif name not in model_state and _is_unused_stage(name, model_state, stages):
            converted.unexpected_keys.append(source)
        else:
            if layout == "mmdet" and ".downsample." in name:
                value = _channels_last(value)
            if name.endswith("relative_position_bias_table") and name in model_state:
                value, resized = _resize_bias_table(value, model_state[name])
                converted.resized += [name] * resized
            converted.add(name, source, value)
    # Classifiers have no output norms, and detectors only those of their outputs.
    converted.allow_missing(model_state, _NORM)
    return converted


def swin_classifier_prefixes(state_dict: StateDict, model: nn.Module) -> ClassifierPrefixes:
    """Where Swin classifiers of other libraries keep the final norm and the last layer.

    The final norm is the norm of the last stage's output.
    """
    swin = cast(_Network, model)
    prefixes: ClassifierPrefixes = {"head.fc.": ("head.fc.", "head.")}
    last_stage = swin.out_indices[-1]
    if last_stage == len(swin.arch.depths) - 1:
        prefixes[f"backbone.norm{last_stage}."] = ("norm.",)
    return prefixes


def _layout(state_dict: StateDict) -> str:
    names = " ".join(state_dict)
    if re.search(r"(^| )features\.\d+\.\d+\.attn\.qkv\.", names):
        return "torchvision"
    if ".attn.w_msa." in names:
        return "mmdet"
    if re.search(r"(^| )stages\.\d+\.blocks\.\d+\.attn\.qkv\.", names):
        return "detkit"
    if re.search(r"(^| )layers[._]\d+\.blocks\.\d+\.attn\.qkv\.", names):
        # timm has the merging at the start of the next stage: its first stage has none.
        head = re.search(r"(^| )layers[._]0\.downsample\.", names)
        later = re.search(r"(^| )layers[._]\d+\.downsample\.", names)
        return "timm" if later and not head else "microsoft"
    raise unknown_layout_error("a Swin Transformer", state_dict,
                               "microsoft, timm, torchvision, mmdet or detkit")


def _is_unused_stage(name: str, model_state: StateDict, stages: set[str]) -> bool:
    """Whether the name belongs to a stage, a merging or an output norm that the model lacks.

    Args:
        name, model_state: converted name, and the model's state dict.
        stages: indices of the stages in the checkpoint; norms of others are unexpected.
    """
    norm, match = _NORM.match(name), _STAGE.match(name)
    if norm is not None:
        return norm[1] in stages and name[norm.end() :] in ("weight", "bias")
    if match is None:
        return False
    stage, is_downsample = match.groups()
    stage_prefix = f"stages.{stage}." + ("downsample." if is_downsample else "blocks.")
    return not any(other.startswith(stage_prefix) for other in model_state)


def _renamer(rules: RenameRules) -> Callable[[str], str]:
    def rename(name: str) -> str:
        for pattern, replacement in rules:
            if re.match(pattern, name):
                return re.sub(pattern, replacement, name)
        return name

    return rename


def _from_timm(name: str) -> str:
    name = _renamer(_MICROSOFT)(name)
    match = re.match(r"stages\.(\d+)\.downsample\.(.*)", name)
    return f"stages.{int(match[1]) - 1}.downsample.{match[2]}" if match else name


def _from_torchvision(name: str) -> str:
    """features.0: stem; features.1, 3, 5, 7: blocks; features.2, 4, 6: patch merging."""
    match = re.match(r"features\.(\d+)\.(.*)", name)
    if match is None:
        return name
    index, rest = int(match[1]), match[2]
    if index == 0:
        return re.sub(r"^2\.", "patch_embed.norm.", re.sub(r"^0\.", "patch_embed.proj.", rest))
    if index % 2 == 0:
        return f"stages.{index // 2 - 1}.downsample.{rest}"
    rest = rest.replace(".mlp.0.", ".mlp.fc1.").replace(".mlp.3.", ".mlp.fc2.")
    return f"stages.{index // 2}.blocks.{rest}"


_LAYOUT_RENAMERS: dict[str, Callable[[str], str]] = {
    "detkit": _renamer(_DETKIT),
    "microsoft": _renamer(_MICROSOFT),
    "timm": _from_timm,
    "torchvision": _from_torchvision,
    "mmdet": _renamer(_MMDET),
}


def _channels_last(value: Tensor) -> Tensor:
    """Reorder the last axis of a merging's norm (4C,) or reduction (2C, 4C) from mmdet's order.

    Unfold has C x (row, column); detkit has (column, row) x C.
    """
    channels = value.shape[-1] // 4
    split = value.reshape(*value.shape[:-1], channels, 2, 2)
    return split.movedim((-1, -2), (-3, -2)).reshape(value.shape)


def _resize_bias_table(value: Tensor, target_table: Tensor) -> tuple[Tensor, bool]:
    """Resize a bias table ((2S - 1)^2, A) to the model's window size, bicubic."""
    old, new = round(value.shape[0] ** 0.5), round(target_table.shape[0] ** 0.5)
    fits = value.ndim == 2 and value.shape[1] == target_table.shape[1] and old**2 == value.shape[0]
    if value.shape == target_table.shape or not fits:
        return value, False
    grid = value.float().t().reshape(1, -1, old, old)
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return grid.reshape(-1, new**2).t(), True
