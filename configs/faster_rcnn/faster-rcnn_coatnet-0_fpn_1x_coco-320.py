"""Faster R-CNN, CoAtNet-0 of timm, FPN, COCO 2017 at 320 px, 12 epochs.

Backbone: CoAtNet-0 of timm, pretrained, batch norm statistics fixed
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; one RoI head
Schedule: 12 epochs ("1x"), AdamW, lr 1e-4 for 16 images a step
Data:     COCO 2017 at 320 px: scale jitter, crops, flips
Expected: not measured here.
Cost:     not measured. Attention at stride 16 is global: cost and memory grow with the fourth power
          of an image's side, hence 320 px.
Run:      python tools/train.py configs/timm_coatnet.py --amp
          The weights are downloaded from timm's hub. From a local file: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1506.01497, arXiv 2106.04803
"""

_base_ = [
    "../_base_/models/faster_rcnn.py",
    "../_base_/datasets/coco_320.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

model = dict(
    # The normalization that these weights were trained with.
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
