"""Build the modules that a config gives; an invalid config raises ConfigError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit.errors import ConfigError
from detkit.registry import MODELS


def build_module(name: str, cfg: object, example: str) -> Any:
    """Build a module of a model from its config.

    Args:
        name: of the module, for messages, such as 'model.pooling'.
        cfg: a dict with a type and its arguments; not changed.
        example: a valid type, for messages.

    Raises:
        ConfigError: ``cfg`` is not a dict with a type, or the class rejects its arguments.
    """
    if not isinstance(cfg, Mapping) or not cfg.get("type"):
        raise ConfigError(name, got=repr(cfg),
                          expected=f"a dict with a type, such as dict(type='{example}')")
    return MODELS.build(dict(cfg))
