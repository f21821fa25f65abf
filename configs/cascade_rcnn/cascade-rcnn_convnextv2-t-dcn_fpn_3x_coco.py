"""Cascade R-CNN, ConvNeXt V2-T with deformable convolutions, COCO 2017, 36 epochs.

Backbone: ConvNeXt V2-T, deformable depthwise convolutions in the last two stages
Neck:     DeformableFPN, 256 channels, strides 4 to 64
Heads:    RPN; three cascade stages at IoU 0.5, 0.6, 0.7
Schedule: 36 epochs ("3x"), AdamW, lr 2e-4 for 16 images a step, layer-wise decay 0.7
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured.
Cost:     not measured.
Run:      python tools/train.py configs/cascade_convnextv2_dcn.py --amp
          Begins with the ImageNet weights of the paper's authors (CC-BY-NC), downloaded once.
          From a file: --backbone-from FILE; at random: --from-scratch.
Paper:    arXiv 1712.00726, arXiv 2301.00808, arXiv 1811.11168
"""

_base_ = [
    "../_base_/models/cascade_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/3x.py",
    "../_base_/runtime.py",
]

# Offsets start at zero: with a classifier's weights the first step equals the plain network's.
model = dict(
    backbone=dict(
        type="ConvNeXtV2",
        arch="tiny",
        weights="imagenet",
        drop_path_rate=0.4,
        deform_stages=(2, 3),
    ),
    neck=dict(type="DeformableFPN"),
)
optim_wrapper = dict(
    constructor="LearningRateDecayOptimWrapperConstructor",
    optimizer=dict(lr=2e-4),
    paramwise_cfg=dict(decay_rate=0.7, custom_keys=dict(conv_offset=dict(lr_mult=0.1))),
)
