"""Faster R-CNN, Swin-T, FPN, COCO 2017, 12 epochs.

Backbone: Swin-T, four levels, drop path 0.2
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; one RoI head
Schedule: 12 epochs ("1x"), AdamW, lr 1e-4 for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here; mmdet's Mask R-CNN with the same backbone reaches 42.7 box AP in 12
          epochs (its configs/swin/metafile.yml).
Cost:     not measured.
Run:      python tools/train.py configs/faster_swin.py --amp
          Begins with torchvision's ImageNet weights, downloaded once. From a file:
          --backbone-from FILE; at random: --from-scratch.
Paper:    arXiv 1506.01497, arXiv 2103.14030
"""

_base_ = [
    "../_base_/models/faster_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

model = dict(
    backbone=dict(type="SwinTransformer", arch="tiny", weights="imagenet", drop_path_rate=0.2)
)
