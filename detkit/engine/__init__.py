"""Configs that cannot be wrong in silence, and the run that they describe.

Reading this package registers detkit's hooks, loops and optimizer wrapper.
"""

from detkit.engine import amp, checkpoint_hook, early_stopping, train_loop

__all__ = ["amp", "checkpoint_hook", "early_stopping", "train_loop"]
