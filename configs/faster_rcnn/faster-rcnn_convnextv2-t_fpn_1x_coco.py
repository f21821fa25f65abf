"""Faster R-CNN, ConvNeXt V2-T, FPN, COCO 2017, 12 epochs.

Backbone: ConvNeXt V2-T, four levels, drop path 0.2
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; one RoI head
Schedule: 12 epochs ("1x"), AdamW, lr 1e-4 for 16 images a step, layer-wise decay 0.8
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/faster_convnextv2.py --amp
          Begins with the ImageNet weights of the paper's authors (CC-BY-NC), downloaded once.
          From a file: --backbone-from FILE; at random: --from-scratch.
Paper:    arXiv 1506.01497, arXiv 2301.00808
"""

_base_ = [
    "../_base_/models/faster_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

model = dict(
    backbone=dict(type="ConvNeXtV2", arch="tiny", weights="imagenet", drop_path_rate=0.2)
)

# Early layers of a pretrained network need to change less for detection: each group of blocks
# has 0.8 times the learning rate of the group after it.
optim_wrapper = dict(
    constructor="LearningRateDecayOptimWrapperConstructor",
    paramwise_cfg=dict(decay_rate=0.8),
)
