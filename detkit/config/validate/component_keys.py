"""Config keys whose dict is built into an object, so it needs a ``type``."""

from __future__ import annotations

from typing import Any

# Keys of a model.
_MODULE_KEYS = frozenset({
    "backbone", "neck", "bbox_roi_extractor", "mask_roi_extractor", "roi_layer", "bbox_coder",
    "anchor_generator", "prior_generator", "point_generator", "assigner", "sampler",
})
# Libraries in which this also holds for keys that end in _head or begin with loss_.
_LIBRARIES = frozenset({"detkit", "mmdet", "mmpretrain", "mmengine"})
_SETTINGS_SUFFIXES = ("_cfg", "_kwargs")
# Heads that mmdet builds from a dict without a type.
_UNTYPED_KEYS = frozenset({"mask_feature_head"})
# Keys of lists of such dicts.
COMPONENT_LIST_KEYS = frozenset({
    "pipeline", "transforms", "custom_hooks", "param_scheduler", "datasets", "augments",
    "switch_pipeline",
})


def is_component_key(key: str, owner: Any = None) -> bool:
    """Whether the dict (or each dict in the list) at ``key`` of a model is built into an object.

    Args:
        key: the name of an argument.
        owner: the class that takes the argument; None if unknown.
    """
    if key in _UNTYPED_KEYS:
        return False
    if key in _MODULE_KEYS:
        return True
    if str(getattr(owner, "__module__", "")).partition(".")[0] not in _LIBRARIES:
        return False  # Argument names of user classes follow no convention.
    if key.endswith(_SETTINGS_SUFFIXES) or key.startswith("loss_weight"):
        return False
    return key.endswith("_head") or key.startswith("loss_")
