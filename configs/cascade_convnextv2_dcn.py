"""Cascade R-CNN, ConvNeXt V2-T with deformable convolutions, COCO 2017, 36 epochs.

Expected: not measured.
Cost:     not measured.
Run:      python tools/train.py configs/cascade_convnextv2_dcn.py --amp
          Start from a classifier's weights: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1712.00726, arXiv 2301.00808, arXiv 1811.11168
"""

_base_ = [
    "_base_/models/cascade_rcnn.py",
    "_base_/datasets/coco.py",
    "_base_/schedules/3x.py",
    "_base_/runtime.py",
]

# Offsets begin at zero: with a classifier's weights the first step is that of the plain network.
model = dict(
    backbone=dict(
        type="ConvNeXtV2", arch="tiny", drop_path_rate=0.4, deform_stages=(2, 3)
    ),
    neck=dict(type="DeformableFPN"),
)
optim_wrapper = dict(
    constructor="LearningRateDecayOptimWrapperConstructor",
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(decay_rate=0.7, custom_keys=dict(conv_offset=dict(lr_mult=0.1))),
)
