"""Parts of a model as a config gives them: built, or refused in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit.errors import ConfigError
from detkit.registry import MODELS


def build_module(name: str, cfg: object, example: str) -> Any:
    """Build what a config gives as a part of a model.

    Args:
        name: of the part, for messages, such as 'model.pooling'.
        cfg: a dict with a type and its arguments; it is not changed.
        example: a type that fits here, for messages.

    Raises:
        ConfigError: it is no dict with a type, or the class refuses its arguments.
    """
    if not isinstance(cfg, Mapping) or not cfg.get("type"):
        raise ConfigError(name, got=repr(cfg),
                          expected=f"a dict with a type, such as dict(type='{example}')")
    return MODELS.build(dict(cfg))
