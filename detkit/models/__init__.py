"""The parts of detectors and classifiers that are ours, and what reads their weights."""

from detkit.models import (
    backbones,
    batch_mixing,
    class_preprocessor,
    classifier,
    heads,
    losses,
    necks,
    poolings,
)

__all__ = ["backbones", "batch_mixing", "class_preprocessor", "classifier", "heads", "losses",
           "necks", "poolings"]
