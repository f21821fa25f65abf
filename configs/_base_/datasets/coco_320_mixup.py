"""coco_320 with mixups of two images in every second sample; a clean last tenth.

A config takes the clean end with ``custom_hooks = [*_base_.custom_hooks, _base_.clean_end]``.
"""

_base_ = "coco_320_mosaic.py"

mix_pipeline = [
    dict(type="MixUp", img_scale=(480, 480), ratio_range=(0.8, 1.6), prob=0.5),
    *_base_.clean_pipeline,
]

train_dataloader = dict(dataset=dict(pipeline=mix_pipeline))
