"""Faster R-CNN, EfficientNet-B3, FPN, COCO 2017, 12 epochs.

Expected: not measured here; mmdet's RetinaNet with this backbone reaches 40.5 box AP
          (its configs/efficientnet/metafile.yml).
Cost:     not measured.
Run:      python tools/train.py configs/faster_efficientnet.py --amp --cfg-options BEGIN
          BEGIN from a classifier's weights: model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.checkpoint=FILE; from nothing, on several GPUs:
          model.backbone.norm_eval=False model.backbone.norm_cfg.type=SyncBN
Paper:    arXiv 1506.01497, arXiv 1905.11946
"""

_base_ = [
    "_base_/models/faster_rcnn.py",
    "_base_/datasets/coco.py",
    "_base_/schedules/1x.py",
    "_base_/runtime.py",
]

# Two images on a device are too few for batch statistics: those of the classifier stay as they
# are. Without its weights there are none to keep.
# torchvision's and timm's own weights want symmetric padding, those of lukemelas and timm's tf_
# models padding="same".
model = dict(
    backbone=dict(
        type="EfficientNet", arch="b3", padding="symmetric", norm_eval=True, drop_path_rate=0.2
    )
)
