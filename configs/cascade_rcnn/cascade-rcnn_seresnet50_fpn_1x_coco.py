"""Cascade R-CNN, SE-ResNet-50 of timm, FPN, COCO 2017, 12 epochs.

Backbone: SE-ResNet-50 of timm, pretrained, first stage frozen
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; three cascade stages at IoU 0.5, 0.6, 0.7
Schedule: 12 epochs ("1x"), AdamW, lr 1e-4 for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/timm_seresnet50.py --amp
          The weights are downloaded from timm's hub. From a local file: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1712.00726, arXiv 1709.01507
"""

_base_ = [
    "../_base_/models/cascade_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

# Two images a step are too few for batch statistics: ImageNet's stay fixed.
model = dict(
    backbone=dict(
        type="TimmBackbone",
        name="seresnet50",
        pretrained=True,
        frozen_stages=1,
        norm_eval=True,
    )
)
