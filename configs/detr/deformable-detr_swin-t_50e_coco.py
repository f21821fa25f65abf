"""Deformable DETR, Swin-T, COCO 2017, 50 epochs.

Backbone: Swin-T, last three levels, drop path 0.2
Neck:     ChannelMapper, 256 channels, four levels
Heads:    deformable transformer of 6 + 6 layers, 300 queries
Schedule: 50 epochs, AdamW, lr 2e-4 (backbone 2e-5) for 32 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here; mmdet's with ResNet-50 reaches 44.3 box AP
          (its configs/deformable_detr/metafile.yml).
Cost:     not measured.
Run:      python tools/train.py configs/deformable_detr_swin.py --amp
          Pretrained classifier: --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 2010.04159, arXiv 2103.14030
"""

_base_ = ["../_base_/datasets/coco.py", "../_base_/schedules/3x.py", "../_base_/runtime.py"]

sampled_attention = dict(embed_dims=256, batch_first=True)
feed_forward = dict(embed_dims=256, feedforward_channels=1024, ffn_drop=0.1)
model = dict(
    type="DeformableDETR",
    num_queries=300,
    num_feature_levels=4,
    with_box_refine=False,
    as_two_stage=False,
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    backbone=dict(type="SwinTransformer", arch="tiny", drop_path_rate=0.2, out_indices=(1, 2, 3)),
    neck=dict(
        type="ChannelMapper",
        kernel_size=1,
        out_channels=256,
        act_cfg=None,
        norm_cfg=dict(type="GN", num_groups=32),
        num_outs=4,
    ),
    encoder=dict(
        num_layers=6,
        layer_cfg=dict(self_attn_cfg=sampled_attention, ffn_cfg=feed_forward),
    ),
    decoder=dict(
        num_layers=6,
        return_intermediate=True,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.1, batch_first=True),
            cross_attn_cfg=sampled_attention,
            ffn_cfg=feed_forward,
        ),
        post_norm_cfg=None,
    ),
    positional_encoding=dict(num_feats=128, normalize=True, offset=-0.5),
    bbox_head=dict(
        type="DeformableDETRHead",
        sync_cls_avg_factor=True,
        loss_cls=dict(
            type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0
        ),
        loss_bbox=dict(type="L1Loss", loss_weight=5.0),
        loss_iou=dict(type="GIoULoss", loss_weight=2.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type="HungarianAssigner",
            match_costs=[
                dict(type="FocalLossCost", weight=2.0),
                dict(type="BBoxL1Cost", weight=5.0, box_format="xywh"),
                dict(type="IoUCost", iou_mode="giou", weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img=100),
)

max_epochs = 50
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
param_scheduler = [
    dict(type="MultiStepLR", begin=0, end=max_epochs, by_epoch=True, milestones=[40], gamma=0.1)
]
optim_wrapper = dict(
    optimizer=dict(lr=2e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1),
    # Only the longest matching key applies: the tables need the backbone's rate, too.
    paramwise_cfg=dict(
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            relative_position_bias_table=dict(lr_mult=0.1, decay_mult=0.0),
            sampling_offsets=dict(lr_mult=0.1),
            reference_points=dict(lr_mult=0.1),
        )
    ),
)
auto_scale_lr = dict(base_batch_size=32)
