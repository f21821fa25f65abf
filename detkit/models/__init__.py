"""Backbones, necks, heads, losses, classifiers, and the loading of their weights."""

from detkit.models import backbones, classifiers, heads, losses, necks

__all__ = ["backbones", "classifiers", "heads", "losses", "necks"]
