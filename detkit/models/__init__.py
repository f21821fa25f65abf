"""The parts of detectors and classifiers that are ours, and what reads their weights."""

from detkit.models import backbones, classifiers, heads, losses, necks

__all__ = ["backbones", "classifiers", "heads", "losses", "necks"]
