"""``--minutes`` and ``--auto-batch``: measure the training step, and fit the run to it."""
