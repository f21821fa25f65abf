"""Faster R-CNN, ResNeXt-50 (32x4d) of timm, FPN, COCO 2017, 12 epochs.

Backbone: ResNeXt-50 32x4d of timm, pretrained, first stage frozen
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; one RoI head
Schedule: 12 epochs ("1x"), AdamW, lr 1e-4 for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/timm_resnext50.py --amp
          The weights are downloaded from timm's hub. From a local file: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1506.01497, arXiv 1611.05431
"""

_base_ = [
    "../_base_/models/faster_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

# Two images a step are too few for batch statistics: ImageNet's stay fixed.
model = dict(
    backbone=dict(
        type="TimmBackbone",
        name="resnext50_32x4d",
        pretrained=True,
        frozen_stages=1,
        norm_eval=True,
    )
)
