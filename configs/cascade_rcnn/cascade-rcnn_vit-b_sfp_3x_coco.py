"""Cascade R-CNN, plain ViT-B/16 of timm, simple feature pyramid (ViTDet), COCO 2017, 36 epochs.

Backbone: ViT-B/16 of timm, pretrained, global attention in every block
Neck:     SimpleFeaturePyramid, 256 channels, strides 4 to 64
Heads:    RPN; three cascade stages at IoU 0.5, 0.6, 0.7
Schedule: 36 epochs ("3x"), AdamW, lr 1e-4 for 16 images a step, layer-wise decay 0.7
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here; detectron2's ViTDet (projects/ViTDet) reaches 54.0 box AP with masks,
          weights of a masked autoencoder, large-scale jitter at 1024 px, 100 epochs, and
          windowed attention in all but four blocks.
Cost:     not measured.
Run:      python tools/train.py configs/vitdet_cascade.py --amp
          The weights are downloaded from timm's hub. From a local file: --cfg-options
          model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1712.00726, arXiv 2203.16527
"""

_base_ = [
    "../_base_/models/cascade_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/3x.py",
    "../_base_/runtime.py",
]

model = dict(
    # The normalization that these weights were trained with.
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        type="TimmBackbone",
        name="vit_base_patch16_224.augreg2_in21k_ft_in1k",
        pretrained=True,
        strides=None,
        drop_path_rate=0.1,
        with_cp=True,
    ),
    neck=dict(_delete_=True, type="SimpleFeaturePyramid", out_channels=256, num_outs=5),
)
# As in the paper, table 11: each block has 0.7 times the learning rate of the block after it.
optim_wrapper = dict(
    constructor="LearningRateDecayOptimWrapperConstructor",
    paramwise_cfg=dict(decay_rate=0.7),
)
