"""The parts of detectors that are ours: backbones, and the loader of their weights."""

from detkit.models import backbones

__all__ = ["backbones"]
