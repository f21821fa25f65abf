"""The first training: Cascade R-CNN, EfficientNet-micro, on the built-in sample, from scratch.

Backbone: EfficientNet-micro, batch norm trained
Neck:     FPN, 64 channels, strides 4 to 64
Heads:    RPN, 200 proposals; three cascade stages at IoU 0.5, 0.6, 0.7, 256 channels
Schedule: 10 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 4 images a step
Data:     the built-in sample at 320 px: flips
Expected: 0.532 to 0.550 AP, 0.761 to 0.780 AP50 on the sample's test split, over three seeds in
          bfloat16 and one in float32, one and two threads.
Cost:     22 minutes on one core (bfloat16), beside another training; 1.5 GB to run it on video.
Run:      python tools/train.py configs/quickstart.py --data sample
Paper:    arXiv 1712.00726, arXiv 1905.11946
"""

_base_ = [
    "_base_/models/cascade_rcnn_micro.py",
    "_base_/datasets/coco_320.py",
    "_base_/schedules/scratch.py",
    "_base_/runtime.py",
]

# Trained from scratch there are no pretrained statistics to keep.
model = dict(backbone=dict(type="EfficientNet", arch="micro", norm_eval=False))
optim_wrapper = dict(optimizer=dict(fused=True))

# In so few epochs jitter and crops do not pay; without them a step takes a third less time.
train_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(320, 320), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))

# Averages about the last 200 steps, batch statistics included, while the learning rate is still
# large: it removes most of the variation between seeds, roundings and processors.
custom_hooks = [dict(type="EMAHook", momentum=0.005, update_buffers=True)]

max_epochs = 10
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs, eta_min_ratio=0.1),
]
