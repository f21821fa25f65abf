"""A user's config as it was written before the renames: a thumbnail cascade on Swin's stem."""

_base_ = [
    "../../configs/_base_/models/cascade_rcnn_nano.py",
    "../../configs/_base_/datasets/coco_320.py",
    "../../configs/_base_/schedules/scratch.py",
    "../../configs/_base_/runtime.py",
]

coder = dict(type="DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2])
box_head = dict(
    type="Shared2FCBBoxHead",
    fc_out_channels=24,
    roi_feat_size=3,
    reg_class_agnostic=True,
    bbox_coder=coder,
    loss_cls=dict(type="CrossEntropyLoss"),
    loss_bbox=dict(type="SmoothL1Loss"),
)
model = dict(
    backbone=dict(type="SwinTransformer", arch="nano", out_indices=(0,), drop_path_rate=0.05),
    neck=dict(out_channels=16, num_outs=3),
    rpn_head=dict(
        feat_channels=16,
        anchor_generator=dict(scales=[4], strides=[4, 8, 16]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(output_size=3), featmap_strides=[4, 8], finest_scale=28
        ),
        bbox_head=[box_head, box_head, box_head],
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=100, max_per_img=40),
        rcnn=dict(score_thr=0.04, max_per_img=20),
    ),
)

train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="Resize", scale=(128, 128), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
train_dataloader = dict(num_workers=0, batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type="BoxAP")
test_evaluator = val_evaluator

max_epochs = 10
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=20)]
optim_wrapper = dict(
    constructor="LayerDecayOptimWrapperConstructor",
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(decay_rate=0.9),
)
custom_hooks = [
    dict(type="EMAHook", momentum=0.05),
    dict(type="EarlyStoppingHook", monitor="coco/bbox_mAP", patience=9),
]
