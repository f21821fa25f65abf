"""Backbones, necks, heads, losses, classifiers, and the loading of their weights."""

from detkit.models import backbones, classifiers, heads, losses, necks
from detkit.ops.tail_nms import add_to_mmcv

add_to_mmcv()

__all__ = ["backbones", "classifiers", "heads", "losses", "necks"]
