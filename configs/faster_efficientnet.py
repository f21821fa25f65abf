"""Short name of ``faster_rcnn/faster-rcnn_efficientnet-b3_fpn_1x_coco.py``."""

_base_ = "faster_rcnn/faster-rcnn_efficientnet-b3_fpn_1x_coco.py"
