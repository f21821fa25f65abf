"""Data: formats in, checks, the ledger, splits, and the transforms that load them."""

from detkit.data import (
    class_balanced_sampler,
    class_dataset,
    class_loading,
    class_packing,
    loading,
    timm_transforms,
    torchvision_transforms,
)

__all__ = [
    "class_balanced_sampler",
    "class_dataset",
    "class_loading",
    "class_packing",
    "loading",
    "timm_transforms",
    "torchvision_transforms",
]
