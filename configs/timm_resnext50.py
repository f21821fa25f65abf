"""Short name of ``faster_rcnn/faster-rcnn_resnext50-32x4d_fpn_1x_coco.py``."""

_base_ = "faster_rcnn/faster-rcnn_resnext50-32x4d_fpn_1x_coco.py"
