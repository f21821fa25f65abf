"""Faster R-CNN, CoAtNet-0 of timm, FPN, COCO 2017 at 320 px, 12 epochs.

Expected: not measured here.
Cost:     not measured. Every cell of stride 16 looks at every other: cost and memory grow with the
          fourth power of an image's side, hence 320 px.
Run:      python tools/train.py configs/timm_coatnet.py --amp
          The weights are fetched from timm's hub. From a local file: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1506.01497, arXiv 2106.04803
"""

_base_ = [
    "_base_/models/faster_rcnn.py",
    "_base_/datasets/coco_320.py",
    "_base_/schedules/1x.py",
    "_base_/runtime.py",
]

model = dict(
    # As these weights were trained.
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        type="TimmBackbone",
        name="coatnet_0_rw_224",
        pretrained=True,
        norm_eval=True,
        drop_path_rate=0.1,
    ),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
)
