"""COCO 2017, multi-scale with crops, as DETR (arXiv 2005.12872) and Swin (2103.14030) train.

Half of the images are only resized; the others are resized, cropped and resized again.
"""

_base_ = "coco.py"

train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomFlip", prob=0.5),
    dict(
        type="RandomChoice",
        transforms=[
            [
                dict(
                    type="RandomChoiceResize",
                    scales=[(1333, side) for side in range(480, 801, 32)],
                    keep_ratio=True,
                ),
            ],
            [
                dict(
                    type="RandomChoiceResize",
                    scales=[(4200, 400), (4200, 500), (4200, 600)],
                    keep_ratio=True,
                ),
                dict(
                    type="RandomCrop",
                    crop_type="absolute_range",
                    crop_size=(384, 600),
                    allow_negative_crop=True,
                ),
                dict(
                    type="RandomChoiceResize",
                    scales=[(1333, side) for side in range(480, 801, 32)],
                    keep_ratio=True,
                ),
            ],
        ],
    ),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
