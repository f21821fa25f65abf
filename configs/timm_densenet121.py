"""Faster R-CNN, DenseNet-121 of timm, FPN, COCO 2017, 12 epochs.

Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/timm_densenet121.py --amp
          The weights are fetched from timm's hub. From a local file: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1506.01497, arXiv 1608.06993
"""

_base_ = [
    "_base_/models/faster_rcnn.py",
    "_base_/datasets/coco.py",
    "_base_/schedules/1x.py",
    "_base_/runtime.py",
]

# Two images a step are too few for statistics of their own: batch norms keep ImageNet's. The maps
# of one resolution are all kept for the backward pass: recomputing them saves most of the memory.
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
