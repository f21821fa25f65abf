"""Keys of a config under which a dict stands that a class is built from."""

from __future__ import annotations

# In a model, besides all that ends in ``_head`` or begins with ``loss_``.
_MODULES = frozenset({
    "backbone", "neck", "bbox_roi_extractor", "mask_roi_extractor", "roi_layer", "bbox_coder",
    "anchor_generator", "prior_generator", "point_generator", "assigner", "sampler",
})
# Heads that mmdet's own classes build from a dict without a type.
_WITHOUT_TYPE = frozenset({"mask_feature_head"})
# Lists of such dicts.
BUILT_LISTS = frozenset({
    "pipeline", "transforms", "custom_hooks", "param_scheduler", "datasets", "augments",
})


def is_built(key: str) -> bool:
    """Whether a class is built from the dict under ``key`` in a model, or from each of a list."""
    if key in _WITHOUT_TYPE:
        return False
    return key in _MODULES or key.endswith("_head") or key.startswith("loss_")
