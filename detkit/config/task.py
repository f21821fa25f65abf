"""What the model of a config is for: finding objects, or naming whole pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit.config.validate.registry_lookup import resolve_class
from detkit.registry import get_default_scope

CLASSIFICATION = "classification"


def is_classifier(cfg: Mapping[str, Any]) -> bool:
    """Whether the model of ``cfg`` says that its task is classification; all others detect.

    Args:
        cfg: a whole config; one without a model is no classifier's.
    """
    model = cfg.get("model")
    if not isinstance(model, Mapping) or "type" not in model:
        return False
    scope = get_default_scope(cfg)
    return bool(getattr(resolve_class(model, scope=scope), "task", None) == CLASSIFICATION)
