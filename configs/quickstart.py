"""The first run: Cascade R-CNN, EfficientNet-micro, on the built-in sample, from nothing.

Expected: 0.532 to 0.550 AP, 0.761 to 0.780 AP50 on the sample's test split, over three seeds in
          bfloat16 and one in float32, one and two threads.
Cost:     22 minutes of one core (bfloat16), beside another training; 1.5 GB to run it on video.
Run:      python tools/train.py configs/quickstart.py --data sample
Paper:    arXiv 1712.00726, arXiv 1905.11946
"""

_base_ = [
    "_base_/models/cascade_rcnn_nano.py",
    "_base_/datasets/coco_320.py",
    "_base_/schedules/scratch.py",
    "_base_/runtime.py",
]

# Batch statistics of four images: from nothing there are no others.
model = dict(backbone=dict(type="EfficientNet", arch="micro", norm_eval=False))
optim_wrapper = dict(optimizer=dict(fused=True))

# So few epochs see each image too rarely for jitter and crops to help; without them a step is
# a third quicker.
train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(320, 320), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))

# The mean of about the last 200 steps, batch statistics included, at a rate that still moves the
# weights: it takes out most of what seed, rounding and processor change.
custom_hooks = [dict(type="EMAHook", momentum=0.005, update_buffers=True)]

max_epochs = 10
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        convert_to_iter_based=True,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        eta_min_ratio=0.1,
    ),
]
