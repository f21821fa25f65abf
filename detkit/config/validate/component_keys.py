"""Keys of a config under which a dict stands that a class is built from."""

from __future__ import annotations

from typing import Any

# In a model.
_MODULE_KEYS = frozenset({
    "backbone", "neck", "bbox_roi_extractor", "mask_roi_extractor", "roi_layer", "bbox_coder",
    "anchor_generator", "prior_generator", "point_generator", "assigner", "sampler",
})
# Libraries whose classes keep to this besides: under what ends in _head or begins with loss_.
_LIBRARIES = frozenset({"detkit", "mmdet", "mmpretrain", "mmengine"})
_SETTINGS_SUFFIXES = ("_cfg", "_kwargs")
# Heads that mmdet's own classes build from a dict without a type.
_UNTYPED_KEYS = frozenset({"mask_feature_head"})
# Lists of such dicts.
COMPONENT_LIST_KEYS = frozenset({
    "pipeline", "transforms", "custom_hooks", "param_scheduler", "datasets", "augments",
})


def is_component_key(key: str, owner: Any = None) -> bool:
    """Whether a class is built from the dict under ``key`` in a model, or from each of a list.

    Args:
        key: the name of an argument.
        owner: the class whose argument it is; None where it is not known, or there is none.
    """
    if key in _UNTYPED_KEYS:
        return False
    if key in _MODULE_KEYS:
        return True
    if str(getattr(owner, "__module__", "")).partition(".")[0] not in _LIBRARIES:
        return False  # A class of the user's own may name its arguments as it likes.
    if key.endswith(_SETTINGS_SUFFIXES) or key.startswith("loss_weight"):
        return False
    return key.endswith("_head") or key.startswith("loss_")
