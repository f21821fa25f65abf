"""Cascade R-CNN, Swin-nano, small FPN, 320 px: trained from nothing on a laptop CPU.

Expected: TODO
Cost:     TODO
Run:      python tools/train.py configs/cascade_swin_nano.py --data PATH
Paper:    arXiv 1712.00726, arXiv 2103.14030
"""

_base_ = [
    "_base_/models/cascade_rcnn_nano.py",
    "_base_/datasets/coco_320.py",
    "_base_/schedules/scratch.py",
    "_base_/runtime.py",
]

model = dict(backbone=dict(type="SwinTransformer", arch="nano", drop_path_rate=0.05))
