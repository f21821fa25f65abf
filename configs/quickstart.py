"""The first run: Cascade R-CNN, Swin-nano, on the built-in sample, from nothing, in minutes.

Expected: TODO
Cost:     TODO
Run:      python tools/train.py configs/quickstart.py --data sample
Paper:    arXiv 1712.00726, arXiv 2103.14030
"""

_base_ = [
    "_base_/models/cascade_rcnn_nano.py",
    "_base_/datasets/coco_320.py",
    "_base_/schedules/scratch.py",
    "_base_/runtime.py",
]

model = dict(backbone=dict(type="SwinTransformer", arch="nano", drop_path_rate=0.0))
