"""The parts of detectors that are ours: backbones, necks, heads, and what reads their weights."""

from detkit.models import backbones, heads, necks

__all__ = ["backbones", "heads", "necks"]
