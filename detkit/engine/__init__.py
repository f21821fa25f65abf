"""Runs: training, testing, checkpoints, and building a model from a checkpoint.

Importing this package registers detkit's hooks, loops, optimizer wrapper and its constructor.
"""

from detkit.engine import loops, planned_loop
from detkit.engine.hooks import (
    checkpoint_hook,
    curves_hook,
    early_stopping_hook,
    pipeline_switch_hook,
)
from detkit.engine.optim import amp, layer_decay

__all__ = ["amp", "checkpoint_hook", "curves_hook", "early_stopping_hook", "layer_decay", "loops",
           "pipeline_switch_hook", "planned_loop"]
