"""Slips in the configs that mmdet ships: said in the log, so that its zoo loads as it is.

Each class swallows the argument through its ``**kwargs`` and does nothing with it; found by
loading every shipped config of mmdet 3.5.1.
"""

from __future__ import annotations

# Class, and the argument that it was given.
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

# What a head takes out of its loss's config before the loss is built (DETRHead), or leaves there
# for nothing (the heads derived from it).
ARGUMENTS_POPPED_BY_HEAD = frozenset({("CrossEntropyLoss", "bg_cls_weight")})
