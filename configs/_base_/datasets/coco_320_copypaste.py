"""coco_320 with objects of another image pasted into every second sample; a clean last tenth.

A config takes the clean end with ``custom_hooks = [*_base_.custom_hooks, _base_.clean_end]``.
"""

_base_ = "coco_320_mosaic.py"

mix_pipeline = [
    dict(type="CopyPasteBoxes", prob=0.5),
    *_base_.clean_pipeline,
]

train_dataloader = dict(dataset=dict(pipeline=mix_pipeline))
