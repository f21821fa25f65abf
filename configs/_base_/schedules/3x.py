"""36 epochs, steps at 27 and 33, known as "3x"; the rest as in ``1x.py``."""

_base_ = "1x.py"

train_cfg = dict(max_epochs=36)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=36, milestones=[27, 33]),
]
