"""Faster R-CNN, ResNeXt-50 (32x4d) of timm, FPN, COCO 2017, 12 epochs.

Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/timm_resnext50.py --amp
          The weights are fetched from timm's hub. From a local file: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1506.01497, arXiv 1611.05431
"""

_base_ = [
    "_base_/models/faster_rcnn.py",
    "_base_/datasets/coco.py",
    "_base_/schedules/1x.py",
    "_base_/runtime.py",
]

# Two images a step are too few for statistics of their own: batch norms keep ImageNet's.
model = dict(
    backbone=dict(
        type="TimmBackbone",
        name="resnext50_32x4d",
        pretrained=True,
        frozen_stages=1,
        norm_eval=True,
    )
)
