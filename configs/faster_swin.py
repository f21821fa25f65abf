"""Faster R-CNN, Swin-T, FPN, COCO 2017, 12 epochs.

Expected: not measured here; mmdet's Mask R-CNN with the same backbone reaches 42.7 box AP in 12
          epochs (its configs/swin/metafile.yml).
Cost:     not measured.
Run:      python tools/train.py configs/faster_swin.py --amp
Paper:    arXiv 1506.01497, arXiv 2103.14030
"""

_base_ = [
    "_base_/models/faster_rcnn.py",
    "_base_/datasets/coco.py",
    "_base_/schedules/1x.py",
    "_base_/runtime.py",
]

model = dict(backbone=dict(type="SwinTransformer", arch="tiny", drop_path_rate=0.2))
