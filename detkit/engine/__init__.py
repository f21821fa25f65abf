"""Configs that cannot be wrong in silence, and the run that they describe.

Reading this package registers detkit's hooks, loops, optimizer wrapper and its constructor.
"""

from detkit.engine import amp, checkpoint_hook, early_stopping, layer_decay, train_loop

__all__ = ["amp", "checkpoint_hook", "early_stopping", "layer_decay", "train_loop"]
