"""A user's config as it was written before the renames: over a whole config of the README."""

# The quickstart of that time; today's begins with the weights of another backbone.
_base_ = ["../../configs/cascade_efficientnet_nano.py"]

model = dict(
    type="FasterRCNN",
    backbone=dict(type="EfficientNet", arch="nano", out_indices=(0,), norm_eval=False),
    neck=dict(out_channels=16, num_outs=3),
    rpn_head=dict(
        feat_channels=16,
        anchor_generator=dict(scales=[4], strides=[4, 8, 16]),
    ),
    roi_head=dict(
        _delete_=True,
        type="StandardRoIHead",
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=3, sampling_ratio=2),
            featmap_strides=[4, 8],
            finest_scale=28,
        ),
        bbox_head=dict(
            type="Shared2FCBBoxHead",
            fc_out_channels=24,
            roi_feat_size=3,
            bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2]),
            loss_cls=dict(type="CrossEntropyLoss"),
            loss_bbox=dict(type="SmoothL1Loss"),
        ),
    ),
    train_cfg=dict(
        rcnn=dict(
            _delete_=True,
            assigner=dict(
                type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5
            ),
            sampler=dict(type="RandomSampler", num=64, pos_fraction=0.25),
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=100, max_per_img=40),
        rcnn=dict(score_thr=0.1, max_per_img=20),
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
val_evaluator = dict(type="detkit.BoxAP")
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=20)]
custom_hooks = [dict(type="EMAHook", momentum=0.05, update_buffers=True)]
