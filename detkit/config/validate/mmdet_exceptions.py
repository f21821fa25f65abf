"""Arguments in the configs of mmdet's model zoo that have no effect: accepted with a warning.

Each class takes the argument through its ``**kwargs`` and ignores it. Found by loading every
config that mmdet 3.5.1 ships.
"""

from __future__ import annotations

# Class and argument.
IGNORED_ARGUMENTS = frozenset({
    ("CocoMetric", "eval_mode"),
    ("DCNv2", "deformable_groups"),
    ("EpochBasedTrainLoop", "by_epoch"),
    ("FPN", "force_grad_on_level"),
    ("Mask2FormerHead", "strides"),
    ("Mask2FormerTrackHead", "strides"),
    ("QuasiDenseTrackHead", "loss_bbox"),
    ("StageCascadeRPNHead", "sampling"),
})

# Class and argument of a loss that its head removes from the config before it builds the loss
# (DETRHead), or ignores (heads derived from DETRHead).
ARGUMENTS_POPPED_BY_HEAD = frozenset({("CrossEntropyLoss", "bg_cls_weight")})
