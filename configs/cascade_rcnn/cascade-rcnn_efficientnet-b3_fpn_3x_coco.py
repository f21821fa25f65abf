"""Cascade R-CNN, EfficientNet-B3, FPN, COCO 2017, 36 epochs.

Backbone: EfficientNet-B3, four levels, batch norm statistics fixed
Neck:     FPN, 256 channels, strides 4 to 64
Heads:    RPN; three cascade stages at IoU 0.5, 0.6, 0.7
Schedule: 36 epochs ("3x"), AdamW, lr 1e-4 for 16 images a step
Data:     COCO 2017, multi-scale: short side 640 to 800
Expected: not measured.
Cost:     not measured.
Run:      python tools/train.py configs/cascade_efficientnet.py --amp
          Begins with torchvision's ImageNet weights, downloaded once. From a file:
          --backbone-from FILE; at random: --from-scratch, on several
          GPUs with --cfg-options model.backbone.norm_cfg.type=SyncBN.
Paper:    arXiv 1712.00726, arXiv 1905.11946
"""

_base_ = [
    "../_base_/models/cascade_rcnn.py",
    "../_base_/datasets/coco.py",
    "../_base_/schedules/3x.py",
    "../_base_/runtime.py",
]

# Batch norm and padding: see faster_rcnn/faster-rcnn_efficientnet-b3_fpn_1x_coco.py.
model = dict(
    backbone=dict(
        type="EfficientNet", arch="b3", weights="imagenet", norm_eval=True, drop_path_rate=0.2
    )
)
