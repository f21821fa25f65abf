"""Cascade R-CNN, ResNet-50 with deformable convolutions (v2) in c3 to c5, COCO 2017, 12 epochs.

Backbone: ResNet-50 of mmdet, DCNv2 in its last three stages, first stage frozen
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; three cascade stages at IoU 0.5, 0.6, 0.7
Schedule: 12 epochs ("1x"), SGD, lr 0.02 for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here; mmdet's with version 1 and single-scale training reaches 43.8 box AP,
          without deformable convolutions 40.3 (its configs/dcn, configs/cascade_rcnn). For
          version 2 it publishes no Cascade; its Faster R-CNN has 41.4, with version 1 41.3.
Cost:     not measured.
Run:      python tools/train.py configs/cascade_r50_dcn.py --amp
          Starts from torchvision's ResNet-50, which is downloaded once. Without a network:
          --cfg-options model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1712.00726, arXiv 1811.11168
"""

_base_ = [
    "../_base_/models/cascade_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

model = dict(
    backbone=dict(
        type="ResNet",
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=True,
        style="pytorch",
        dcn=dict(type="DCNv2", deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
        init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet50"),
    ),
)

# ResNet's usual optimizer; lr is for 16 images a step, as in the base.
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4),
)
