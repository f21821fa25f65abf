"""DETR, Swin-T, COCO 2017, 150 epochs.

Backbone: Swin-T, last level (stride 32), drop path 0.2
Neck:     ChannelMapper, 256 channels
Heads:    transformer of 6 + 6 layers, 100 queries
Schedule: 150 epochs, AdamW, lr 1e-4 (backbone 1e-5) for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here; mmdet's with ResNet-50 in 150 epochs reaches 39.9 box AP
          (its configs/detr/metafile.yml).
Cost:     not measured.
Run:      python tools/train.py configs/detr_swin.py --amp
          Pretrained classifier: --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 2005.12872, arXiv 2103.14030
"""

_base_ = ["../_base_/datasets/coco.py", "../_base_/schedules/3x.py", "../_base_/runtime.py"]

attention = dict(embed_dims=256, num_heads=8, dropout=0.1, batch_first=True)
feed_forward = dict(
    embed_dims=256,
    feedforward_channels=2048,
    num_fcs=2,
    ffn_drop=0.1,
    act_cfg=dict(type="ReLU", inplace=True),
)
model = dict(
    type="DETR",
    num_queries=100,
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    backbone=dict(type="SwinTransformer", arch="tiny", drop_path_rate=0.2, out_indices=(3,)),
    neck=dict(
        type="ChannelMapper",
        kernel_size=1,
        out_channels=256,
        act_cfg=None,
        norm_cfg=None,
        num_outs=1,
    ),
    encoder=dict(
        num_layers=6,
        layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feed_forward),
    ),
    decoder=dict(
        num_layers=6,
        layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feed_forward),
        return_intermediate=True,
    ),
    positional_encoding=dict(num_feats=128, normalize=True),
    bbox_head=dict(
        type="DETRHead",
        embed_dims=256,
        loss_cls=dict(
            type="CrossEntropyLoss",
            bg_cls_weight=0.1,
            use_sigmoid=False,
            loss_weight=1.0,
            class_weight=1.0,
        ),
        loss_bbox=dict(type="L1Loss", loss_weight=5.0),
        loss_iou=dict(type="GIoULoss", loss_weight=2.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type="HungarianAssigner",
            match_costs=[
                dict(type="ClassificationCost", weight=1.0),
                dict(type="BBoxL1Cost", weight=5.0, box_format="xywh"),
                dict(type="IoUCost", iou_mode="giou", weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img=100),
)

max_epochs = 150
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
param_scheduler = [
    dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[100], gamma=0.1)
]
optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1),
    # Only the longest matching key applies: the tables need the backbone's rate, too.
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            relative_position_bias_table=dict(lr_mult=0.1, decay_mult=0.0),
        )
    ),
)
