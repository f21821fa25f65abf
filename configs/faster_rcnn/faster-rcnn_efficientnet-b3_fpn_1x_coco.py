"""Faster R-CNN, EfficientNet-B3, FPN, COCO 2017, 12 epochs.

Backbone: EfficientNet-B3, four levels, batch norm statistics fixed
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; one RoI head
Schedule: 12 epochs ("1x"), AdamW, lr 1e-4 for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here; mmdet's RetinaNet with this backbone reaches 40.5 box AP
          (its configs/efficientnet/metafile.yml).
Cost:     not measured.
Run:      python tools/train.py configs/faster_efficientnet.py --amp --cfg-options INIT
          INIT from a pretrained classifier: model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.checkpoint=FILE; from scratch, on several GPUs:
          model.backbone.norm_eval=False model.backbone.norm_cfg.type=SyncBN
Paper:    arXiv 1506.01497, arXiv 1905.11946
"""

_base_ = [
    "../_base_/models/faster_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

# Two images per device are too few for batch statistics: the pretrained ones stay fixed.
# torchvision's and timm's own weights need symmetric padding, those of lukemelas and timm's tf_
# models padding="same".
model = dict(
    backbone=dict(
        type="EfficientNet", arch="b3", padding="symmetric", norm_eval=True, drop_path_rate=0.2
    )
)
