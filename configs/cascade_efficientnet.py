"""Cascade R-CNN, EfficientNet-B3, FPN, COCO 2017, 36 epochs.

Expected: not measured.
Cost:     not measured.
Run:      python tools/train.py configs/cascade_efficientnet.py --amp --cfg-options BEGIN
          BEGIN from a classifier's weights: model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.checkpoint=FILE; from nothing, on several GPUs:
          model.backbone.norm_eval=False model.backbone.norm_cfg.type=SyncBN
Paper:    arXiv 1712.00726, arXiv 1905.11946
"""

_base_ = [
    "_base_/models/cascade_rcnn.py",
    "_base_/datasets/coco.py",
    "_base_/schedules/3x.py",
    "_base_/runtime.py",
]

# Batch norm and padding: see faster_efficientnet.py.
model = dict(
    backbone=dict(
        type="EfficientNet", arch="b3", padding="symmetric", norm_eval=True, drop_path_rate=0.2
    )
)
