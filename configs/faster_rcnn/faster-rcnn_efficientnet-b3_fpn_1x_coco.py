"""Faster R-CNN, EfficientNet-B3, FPN, COCO 2017, 12 epochs.

Backbone: EfficientNet-B3, four levels, batch norm statistics fixed
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; one RoI head
Schedule: 12 epochs ("1x"), AdamW, lr 1e-4 for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured here; mmdet's RetinaNet with this backbone reaches 40.5 box AP
          (its configs/efficientnet/metafile.yml).
Cost:     not measured.
Run:      python tools/train.py configs/faster_efficientnet.py --amp
          Begins with torchvision's ImageNet weights, downloaded once. From a file:
          --backbone-from FILE; at random: --from-scratch, on several
          GPUs with --cfg-options model.backbone.norm_cfg.type=SyncBN.
Paper:    arXiv 1506.01497, arXiv 1905.11946
"""

_base_ = [
    "../_base_/models/faster_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/1x.py",
    "../_base_/runtime.py",
]

# Two images per device are too few for batch statistics: the pretrained ones stay fixed. The
# weights decide padding and eps of the network.
model = dict(
    backbone=dict(
        type="EfficientNet", arch="b3", weights="imagenet", norm_eval=True, drop_path_rate=0.2
    )
)
