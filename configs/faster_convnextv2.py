"""Faster R-CNN, ConvNeXt V2-T, FPN, COCO 2017, 12 epochs.

Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/faster_convnextv2.py --amp
          Start from a classifier's weights: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1506.01497, arXiv 2301.00808
"""

_base_ = [
    "_base_/models/faster_rcnn.py",
    "_base_/datasets/coco.py",
    "_base_/schedules/1x.py",
    "_base_/runtime.py",
]

model = dict(backbone=dict(type="ConvNeXtV2", arch="tiny", drop_path_rate=0.2))

# Deep layers of a pretrained network are further from what a detector wants than the first ones:
# each group of blocks learns at 0.8 times the rate of the one behind it.
optim_wrapper = dict(
    constructor="LearningRateDecayOptimWrapperConstructor",
    paramwise_cfg=dict(decay_rate=0.8),
)
