"""EfficientDet-D0: EfficientNet-B0, three BiFPN layers, separable heads, 512 px, COCO 2017.

Backbone: EfficientNet-B0, strides 8 to 32
Neck:     BiFPN, 3 layers, 64 channels, strides 8 to 128
Heads:    separable box and class heads, 3 layers, 9 anchors a location
Schedule: 300 epochs, SGD, lr 0.08 for 64 images a step, cosine, EMA
Data:     COCO 2017 at 512 px: scale jitter 0.1 to 2.0, crops, flips
Expected: not measured here; the paper's reaches 34.3 box AP on COCO val (arXiv 1911.09070,
          table 2), trained 300 epochs with steps of 128 images.
Cost:     3.9 million parameters, 2.5 billion multiply-adds (the paper's table 2); time not
          measured.
Run:      python tools/train.py configs/efficientdet_d0.py --amp --auto-scale-lr
          Pretrained classifier: --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.checkpoint=FILE
Paper:    arXiv 1911.09070, arXiv 1905.11946
"""

_base_ = [
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

# With fewer than eight images on a device: dict(type="SyncBN", eps=1e-3, momentum=0.01) on
# several devices, dict(type="GN", num_groups=16) on one.
norm_cfg = dict(type="BN", eps=1e-3, momentum=0.01)

model = dict(
    type="RetinaNet",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=128,
    ),
    backbone=dict(type="EfficientNet", arch="b0", padding="same", out_indices=(1, 2, 3)),
    neck=dict(type="BiFPN", out_channels=64, num_layers=3, num_outs=5, norm_cfg=norm_cfg),
    bbox_head=dict(
        type="EfficientDetHead",
        num_ins=5,
        in_channels=64,
        feat_channels=64,
        stacked_convs=3,
        norm_cfg=norm_cfg,
        anchor_generator=dict(
            type="AnchorGenerator",
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128],
            center_offset=0.5,
        ),
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0],
        ),
        loss_cls=dict(
            type="FocalLoss", use_sigmoid=True, gamma=1.5, alpha=0.25, loss_weight=1.0
        ),
        # The authors' code: 50 times Huber's loss with delta 0.1, which is 0.1 times this one, over
        # four times the matched anchors, where mmdet divides by their number: 50 * 0.1 / 4.
        loss_bbox=dict(type="SmoothL1Loss", beta=0.1, loss_weight=1.25),
    ),
    train_cfg=dict(
        assigner=dict(
            type="MaxIoUAssigner",
            pos_iou_thr=0.5,
            neg_iou_thr=0.5,
            min_pos_iou=0,
            ignore_iof_thr=-1,
        ),
        sampler=dict(type="PseudoSampler"),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type="nms", iou_threshold=0.5),
        max_per_img=100,
    ),
)

train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=(512, 512), ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(512, 512), allow_negative_crop=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="Resize", scale=(512, 512), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_epochs = 300
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=1000),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        convert_to_iter_based=True,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        eta_min=0.0,
    ),
]
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.08, momentum=0.9, weight_decay=4e-5),
    clip_grad=dict(max_norm=10.0),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
# Averages about the last 5,000 steps; for runs under some 10,000 steps raise the momentum.
custom_hooks = [dict(type="EMAHook", momentum=0.0002)]

# lr is for 64 images a step; --auto-scale-lr scales it linearly to the run's batch size.
auto_scale_lr = dict(enable=False, base_batch_size=64)
