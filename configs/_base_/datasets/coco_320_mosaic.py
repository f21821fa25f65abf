"""coco_320 with mosaics of four images in every second sample; a clean last tenth.

A config takes the clean end with ``custom_hooks = [*_base_.custom_hooks, _base_.clean_end]``.
"""

_base_ = "coco_320.py"

# 480 px: at the largest ratio below, 1.5, an image is not enlarged.
load_pipeline = [
    dict(
        type="CachedSteps",
        transforms=[
            dict(type="LoadImage"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="Resize", scale=(480, 480), keep_ratio=True),
        ],
    ),
]
clean_pipeline = [
    dict(type="RandomResize", scale=(320, 320), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(320, 320), allow_negative_crop=True),
    dict(type="RandomFlip", prob=0.5),
    # Not the slivers of objects that two crops leave.
    dict(type="FilterAnnotations", min_gt_bbox_wh=(4, 4), keep_empty=False),
    dict(type="PackDetInputs"),
]
mix_pipeline = [
    # A canvas of 960 px with gray at its border, of which the crops show one to four images.
    dict(type="Mosaic", img_scale=(480, 480), center_ratio_range=(0.75, 1.25), prob=0.5),
    dict(type="CenterCrop", crop_size=(720, 720)),
    dict(type="RandomCrop", crop_size=(480, 480), allow_negative_crop=True),
    *clean_pipeline,
]
clean_end = dict(type="PipelineSwitchHook", last_fraction=0.1, switch_pipeline=clean_pipeline)

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="MultiImageMixDataset",
        dataset=dict(
            type="CocoDataset",
            data_root=_base_.data_root,
            ann_file="annotations/instances_train2017.json",
            data_prefix=dict(img="train2017/"),
            filter_cfg=dict(filter_empty_gt=False, min_size=1),
            pipeline=load_pipeline,
        ),
        pipeline=mix_pipeline,
    ),
)
