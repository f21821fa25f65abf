"""EfficientNet checkpoints of torchvision, timm, lukemelas and ourselves, told apart by names.

All agree on the tensors themselves, versions 1, 2 and Lite; what they do not hold is the padding
and the eps they were trained with. torchvision never pads as TensorFlow does and lukemelas always
does, so that contradicting them is refused. timm's models come in both ways under one set of
names: its tf_ ones ('same', 1e-3) read into a backbone with symmetric padding of B0 to B4 or Lite0
cannot be told from its others ('symmetric', 1e-5), nor these from the former in a backbone of
'same' padding. There the user's choice of ``padding`` stands unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol, cast

from torch import nn

from detkit.errors import WeightsError
from detkit.models.backbones.efficientnet.archs import BlockGroup, EfficientNetArch
from detkit.models.weights.converted_state_dict import StateDict, Translation

_BUFFER = ".num_batches_tracked"
_OFFSET = re.compile(r"\.conv_offset\.")
_CLASSIFIER = re.compile(r"^(classifier(\.1)?|_fc)\.(weight|bias)$")

Names = Iterator[tuple[str, str]]


class _Network(Protocol):
    """What is read of an ``EfficientNet``."""

    arch: EfficientNetArch
    padding: str
    norm_eps: float
    norm_eps_is_given: bool


def translate_efficientnet(state: StateDict, backbone: nn.Module) -> Translation:
    """Bring an EfficientNet checkpoint under our names.

    Args:
        state: names without wrappers and prefixes.
        backbone: our ``EfficientNet``; says which blocks there are, and how it pads.

    Raises:
        WeightsError: the names are those of no layout that is known, or the layout's weights
            were trained with another padding or eps than the backbone has.
    """
    net = cast(_Network, backbone)
    layout = _layout(state)
    _check_origin(layout, net)
    own = backbone.state_dict()
    # Old files do not count their batches.
    translation = Translation(layout, optional=frozenset(n for n in own if n.endswith(_BUFFER)))
    places = None if layout == "detkit" else dict(_places(layout, net))
    for source, value in state.items():
        place, _, leaf = source.rpartition(".")
        name = source if places is None else f"{places.get(place, place)}.{leaf}"
        if places is not None and place not in places and name in own:
            # One of our names in a file of another layout: nobody's.
            name = f"{layout}.{source}"
        if name not in own and (_CLASSIFIER.match(source) or _is_elsewhere(name, own)):
            translation.unused.append(source)
        else:
            translation.put(name, source, value)
    # A plain network's file begins a deformable one.
    translation.may_lack(own, _OFFSET)
    return translation


def _layout(state: StateDict) -> str:
    names = " ".join(state)
    for layout, pattern in (
        ("timm", r"(^| )blocks\.\d+\.\d+\.(conv|conv_\w+|bn\d)\."),
        ("torchvision", r"(^| )features\.\d+\.\d+\.block\."),
        ("lukemelas", r"(^| )_blocks\.\d+\._\w+\."),
        ("detkit", r"(^| )stages\.\d+\.\d+\.(depthwise|fused)\."),
    ):
        if re.search(pattern, names):
            return layout
    raise WeightsError(
        "these are not the names of an EfficientNet",
        got=", ".join(list(state)[:3]) + ", ..." if state else "no tensors",
        expected="the layout of torchvision, timm, lukemelas or detkit",
    )


def _check_origin(layout: str, net: _Network) -> None:
    """Refuse weights that were certainly trained with another padding or eps."""
    trained = {
        "torchvision": [("symmetric", net.arch.norm_eps)],
        "timm": [("symmetric", 1e-5), ("same", 1e-3)],
        "lukemelas": [("same", 1e-3)],
    }.get(layout, [(net.padding, net.norm_eps)])
    for padding, eps in trained:
        if padding == net.padding and (net.norm_eps_is_given or eps == net.norm_eps):
            return
    choices = " or ".join(f"padding='{padding}', norm_eps={eps:g}" for padding, eps in trained)
    raise WeightsError(
        f"weights in the layout of {layout} were trained with another padding or eps",
        got=f"a backbone with padding='{net.padding}', norm_eps={net.norm_eps:g}",
        expected=choices + (" (the latter where its name begins with tf_)"
                            if layout == "timm" else ""),
    )


def _is_elsewhere(name: str, own: StateDict) -> bool:
    """Whether it is of a stage or a head that was not asked for, or a count we do not keep."""
    match = re.match(r"(stages\.\d+|head_conv)\.", name)
    if match and not any(other.startswith(match[0]) for other in own):
        return True
    norm = name.removesuffix(_BUFFER)
    return norm != name and f"{norm}.weight" in own


def _places(layout: str, net: _Network) -> Names:
    """(their name, our name) of each module that has parameters, for the whole arch."""
    groups = net.arch.scaled
    ends = {
        "timm": ("conv_stem", "bn1", "conv_head", "bn2"),
        "torchvision": ("features.0.0", "features.0.1", f"features.{len(groups) + 1}.0",
                        f"features.{len(groups) + 1}.1"),
        "lukemelas": ("_conv_stem", "_bn0", "_conv_head", "_bn1"),
    }[layout]
    yield from zip(ends, ("stem.conv", "stem.norm", "head_conv.conv", "head_conv.norm"))
    count = 0
    for stage, rows in enumerate(net.arch.stages):
        block = 0
        for row in rows:
            for repeat in range(groups[row].repeats):
                theirs = {
                    "timm": f"blocks.{row}.{repeat}",
                    "torchvision": f"features.{row + 1}.{repeat}.block",
                    "lukemelas": f"_blocks.{count}",
                }[layout]
                for their_part, our_part in _PARTS[layout](groups[row]):
                    yield f"{theirs}.{their_part}", f"stages.{stage}.{block}.{our_part}"
                block, count = block + 1, count + 1


def _convolutions(group: BlockGroup) -> list[str]:
    """Our names of a block's convolutions with norms, in their order."""
    expanded = group.expansion != 1
    if group.kind == "fused":
        return ["fused", "project"] if expanded else ["fused"]
    return ["expand", "depthwise", "project"] if expanded else ["depthwise", "project"]


def _timm_parts(group: BlockGroup) -> Names:
    expanded = group.expansion != 1
    # 'pw' is the expansion where there is one, and else the projection.
    conv = {
        "expand": "conv_pw",
        "depthwise": "conv_dw",
        "fused": "conv_exp" if expanded else "conv",
        "project": "conv_pwl" if expanded else "conv_pw",
    }
    for index, part in enumerate(_convolutions(group), 1):
        yield conv[part], f"{part}.conv"
        yield f"bn{index}", f"{part}.norm"
    yield from (("se.conv_reduce", "se.reduce"), ("se.conv_expand", "se.expand"))


def _torchvision_parts(group: BlockGroup) -> Names:
    place = 0
    for part in _convolutions(group):
        if part == "project" and group.squeeze:
            yield from ((f"{place}.fc1", "se.reduce"), (f"{place}.fc2", "se.expand"))
            place += 1
        yield f"{place}.0", f"{part}.conv"
        yield f"{place}.1", f"{part}.norm"
        place += 1


def _lukemelas_parts(group: BlockGroup) -> Names:
    # The norms keep their numbers where there is no expansion. There are no fused blocks.
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}
    for part in _convolutions(group):
        if part in norm:
            yield f"_{part}_conv", f"{part}.conv"
            yield norm[part], f"{part}.norm"
    yield from (("_se_reduce", "se.reduce"), ("_se_expand", "se.expand"))


_PARTS = {"timm": _timm_parts, "torchvision": _torchvision_parts, "lukemelas": _lukemelas_parts}
