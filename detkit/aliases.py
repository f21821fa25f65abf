"""Names of earlier versions, which files and command lines still have: the one table of them.

Configs and the config text inside checkpoints are brought to today's names as they are read, so
that nothing else in detkit knows an old one. Keys of files that are read by others, such as the
ledger's, are not renamed at all.
"""

from __future__ import annotations

from typing import Any

from detkit.walk import walk_dicts

# Registered types.
TYPES = {
    "BoxAP": "CocoBBoxMetric",
    "ClassDataPreprocessor": "ClsDataPreprocessor",
    "ClassDataset": "ClsDataset",
    "LayerDecayOptimWrapperConstructor": "LearningRateDecayOptimWrapperConstructor",
    "LoadPicture": "LoadClsImage",
    "PackClassInputs": "PackInputs",
    "TeachingNetwork": "ClassicNetwork",
}

# Architectures, by the type that has them. ConvNeXt V2's nano is an official size and stays.
ARCHS = {
    "EfficientNet": {"nano": "micro"},
    "SwinTransformer": {"nano": "micro"},
}

# Command-line flags.
FLAGS = {"--no-pictures": "--no-images"}

# Attributes of the package ``detkit``.
EXPORTS = {"ClassScores": "Classifications"}


def current_type(name: str) -> str:
    """Today's name of a registered type, plain or as ``scope.Name``; others as they are."""
    scope, dot, plain = name.rpartition(".")
    if scope not in ("", "detkit"):
        return name
    return scope + dot + TYPES.get(plain, plain)


def current_arch(type_name: str, arch: str) -> str:
    """Today's name of an architecture of a backbone; others as they are."""
    return ARCHS.get(type_name.rpartition(".")[2], {}).get(arch, arch)


def update_names(value: Any) -> None:
    """Bring the types and architectures in a config to today's names, in place.

    Args:
        value: a config, or any dict or list in one.
    """
    for _, component in walk_dicts(value):
        for key in ("type", "constructor"):
            if isinstance(component.get(key), str):
                component[key] = current_type(component[key])
        if isinstance(component.get("type"), str) and isinstance(component.get("arch"), str):
            component["arch"] = current_arch(component["type"], component["arch"])
