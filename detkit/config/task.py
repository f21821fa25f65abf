"""The task of a config's model: detection or classification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit.config.validate.registry_lookup import resolve_class
from detkit.registry import get_default_scope

CLASSIFICATION = "classification"


def is_classifier(cfg: Mapping[str, Any]) -> bool:
    """Whether the class of the model has ``task = "classification"``; other models detect.

    Args:
        cfg: a complete config; False if it has no model.
    """
    model = cfg.get("model")
    if not isinstance(model, Mapping) or "type" not in model:
        return False
    scope = get_default_scope(cfg)
    return bool(getattr(resolve_class(model, scope=scope), "task", None) == CLASSIFICATION)
