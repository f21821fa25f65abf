"""Checkpoint conversion of ConvNeXt V2: official, FCMAE, timm's, mmpretrain's and detkit's layouts.

The official classifiers and the masked autoencoders (FCMAE) have the same names; the latter have
sparse layers, with kernels (positions, channels) in column-major order.
"""

from __future__ import annotations

import re

from torch import Tensor, nn

from detkit.models.weights.converted_state_dict import (
    ClassifierPrefixes,
    ConvertedStateDict,
    RenameRules,
    StateDict,
    rename_key,
    unknown_layout_error,
)

# Layers of a classifier or an autoencoder after the stages, and parameters of a loss.
_IGNORED = re.compile(
    r"^(head|norm|norm_pre|gap|decoder|proj|pred|mask_token|fc)(\.|$)|^(decoder|mask)_"
)
_STAGE = re.compile(r"^stages\.(\d+)\.")
_NORM = re.compile(r"^norm(\d+)\.")
_OFFSET = re.compile(r"\.conv_offset\.")
_ATTENTION = re.compile(r"\.attention\.")
_VECTOR_PARAMS = re.compile(r"(\.grn\.(gamma|beta)|\.bias)$")
_POINTWISE = re.compile(r"\.pwconv[12]\.weight$")

# The rules of each layout; all that match are applied in order.
_OFFICIAL: RenameRules = [
    (r"^downsample_layers\.0\.0\.", "stem.proj."),
    (r"^downsample_layers\.0\.1\.", "stem.norm."),
    (r"^downsample_layers\.(\d+)\.0\.", r"stages.\1.downsample.norm."),
    (r"^downsample_layers\.(\d+)\.1\.", r"stages.\1.downsample.conv."),
    (r"^stages\.(\d+)\.(\d+)\.", r"stages.\1.blocks.\2."),
]
# Sparse layers have their parameters in a submodule.
_SPARSE: RenameRules = [
    *_OFFICIAL, (r"\.(ln|linear)\.(weight|bias)$", r".\2"), (r"\.kernel$", ".weight")
]
_MMPRETRAIN: RenameRules = [
    *_OFFICIAL,
    (r"\.depthwise_conv\.", ".dwconv."),
    (r"\.pointwise_conv([12])\.", r".pwconv\1."),
]
_TIMM: RenameRules = [
    (r"^stem[._]0\.", "stem.proj."),
    (r"^stem[._]1\.", "stem.norm."),
    # Names of timm's features_only models.
    (r"^stages_(\d+)\.", r"stages.\1."),
    (r"\.downsample\.0\.", ".downsample.norm."),
    (r"\.downsample\.1\.", ".downsample.conv."),
    (r"\.conv_dw\.", ".dwconv."),
    (r"\.mlp\.fc([12])\.", r".pwconv\1."),
    (r"\.mlp\.grn\.weight$", ".grn.gamma"),
    (r"\.mlp\.grn\.bias$", ".grn.beta"),
]
_LAYOUT_RULES: dict[str, RenameRules] = {
    "detkit": [],
    "facebookresearch": _OFFICIAL,
    "facebookresearch FCMAE": _SPARSE,
    "mmpretrain": _MMPRETRAIN,
    "timm": _TIMM,
}


def convnextv2_checkpoint_filter_fn(state_dict: StateDict, model: nn.Module) -> ConvertedStateDict:
    """Rename a ConvNeXt V2 checkpoint to the names of ``ConvNeXtV2``.

    Args:
        state_dict: names without wrappers and prefixes.
        model: a ``ConvNeXtV2``; its stages are used.

    Raises:
        WeightsError: the names are of no known layout.
    """
    layout = _layout(state_dict)
    model_state = model.state_dict()
    converted = ConvertedStateDict(layout)
    names = {source: rename_key(source, _LAYOUT_RULES[layout]) for source in state_dict}
    stages = {match[1] for match in map(_STAGE.match, names.values()) if match}
    for source, value in state_dict.items():
        name = names[source]
        if name not in model_state and (_IGNORED.match(source)
                                        or _is_unused_stage(name, model_state, stages)):
            converted.unexpected_keys.append(source)
            continue
        if source.endswith(".kernel"):
            value = _to_dense_kernel(value)
        elif _VECTOR_PARAMS.search(name) and value.ndim > 1 and value.numel() == value.shape[-1]:
            value = value.flatten()
        elif _POINTWISE.search(name) and value.shape[2:] == (1, 1):
            value = value.flatten(1)
        converted.add(name, source, value)
    # Foreign files have no output norms, and detkit's only those of their outputs.
    converted.allow_missing(model_state, _NORM)
    # A deformable network can be initialized from a plain one.
    converted.allow_missing(model_state, _OFFSET)
    if layout != "detkit":
        converted.allow_missing(model_state, _ATTENTION)
    return converted


def convnextv2_classifier_prefixes(state_dict: StateDict, model: nn.Module) -> ClassifierPrefixes:
    """Where ConvNeXt V2 classifiers of other libraries keep the final norm and the last layer.

    The norm follows the pooling, so it belongs to the head; mmpretrain keeps it in the backbone.
    """
    mmpretrain = any(".depthwise_conv." in name for name in state_dict)
    return {"head.fc.": ("head.fc.", "head."),
            "head.norm.": ("norm3.",) if mmpretrain else ("head.norm.", "norm.")}


def _layout(state_dict: StateDict) -> str:
    names = " ".join(state_dict)
    if re.search(r"(^| )stages[._]\d+\.blocks\.\d+\.mlp\.grn\.", names):
        return "timm"
    if re.search(r"(^| )stages\.\d+\.\d+\.pointwise_conv1\.", names):
        return "mmpretrain"
    if re.search(r"(^| )stages\.\d+\.\d+\.grn\.", names):
        sparse = re.search(r"\.(kernel|ln\.weight|linear\.weight)( |$)", names)
        return "facebookresearch FCMAE" if sparse else "facebookresearch"
    if re.search(r"(^| )stages\.\d+\.blocks\.\d+\.grn\.", names):
        return "detkit"
    raise unknown_layout_error("a ConvNeXt V2", state_dict,
                               "facebookresearch, timm, mmpretrain or detkit")


def _is_unused_stage(name: str, model_state: StateDict, stages: set[str]) -> bool:
    """Whether the name belongs to a stage or an output norm that the model lacks."""
    norm, match = _NORM.match(name), _STAGE.match(name)
    if norm is not None:
        return norm[1] in stages and name[norm.end() :] in ("weight", "bias")
    return match is not None and not any(other.startswith(match[0]) for other in model_state)


def _to_dense_kernel(kernel: Tensor) -> Tensor:
    """A sparse layer's kernel as a convolution's weight (out, in, height, width).

    Depthwise (K, C) becomes (C, 1, k, k), and (K, in, out) becomes (out, in, k, k), with
    K = k * k positions in column-major order.
    """
    kernel_size = round(kernel.shape[0] ** 0.5)
    if kernel.ndim not in (2, 3) or kernel_size**2 != kernel.shape[0]:
        return kernel
    weight = kernel.t()[:, None] if kernel.ndim == 2 else kernel.permute(2, 1, 0)
    return weight.reshape(*weight.shape[:2], kernel_size, kernel_size).transpose(2, 3).contiguous()
