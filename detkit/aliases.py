"""Names of earlier versions, still used by config files, checkpoints and scripts.

Configs, and the config text in checkpoints, are updated to the current names when they are read;
the rest of detkit knows only current names.
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

# Architectures, by type. ConvNeXt V2's nano is an official size and keeps its name.
ARCHS = {
    "EfficientNet": {"nano": "micro"},
    "SwinTransformer": {"nano": "micro"},
}

# Command-line flags.
FLAGS = {"--no-pictures": "--no-images"}

# Attributes of the package ``detkit``.
EXPORTS = {"ClassScores": "Classifications"}


def current_type(name: str) -> str:
    """Return the current name of a registered type, plain or ``scope.Name``."""
    scope, dot, plain = name.rpartition(".")
    if scope not in ("", "detkit"):
        return name
    return scope + dot + TYPES.get(plain, plain)


def current_arch(type_name: str, arch: str) -> str:
    """Return the current name of an architecture of the backbone ``type_name``."""
    return ARCHS.get(type_name.rpartition(".")[2], {}).get(arch, arch)


def update_names(value: Any) -> None:
    """Replace the earlier names of types and architectures in a config, in place.

    Args:
        value: a config, or any dict or list in it.
    """
    for _, component in walk_dicts(value):
        for key in ("type", "constructor"):
            if isinstance(component.get(key), str):
                component[key] = current_type(component[key])
        if isinstance(component.get("type"), str) and isinstance(component.get("arch"), str):
            component["arch"] = current_arch(component["type"], component["arch"])
