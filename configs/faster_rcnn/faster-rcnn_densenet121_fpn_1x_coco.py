"""Faster R-CNN, DenseNet-121 of timm, FPN, COCO 2017, 12 epochs.

Backbone: DenseNet-121 of timm, pretrained, stem frozen, gradient checkpointing
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; one RoI head
Schedule: 12 epochs ("1x"), AdamW, lr 1e-4 for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/timm_densenet121.py --amp
          The weights are downloaded from timm's hub. From a local file: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1506.01497, arXiv 1608.06993
"""

_base_ = [
    "../_base_/models/faster_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

# Two images a step are too few for batch statistics: ImageNet's stay fixed. DenseNet keeps all
# feature maps of a stage for the backward pass: recomputing them saves most of the memory.
model = dict(
    backbone=dict(
        type="TimmBackbone",
        name="densenet121",
        pretrained=True,
        frozen_stages=0,
        norm_eval=True,
        with_cp=True,
    )
)
