"""Short name of ``faster_rcnn/faster-rcnn_convnextv2-t_fpn_1x_coco.py``."""

_base_ = "faster_rcnn/faster-rcnn_convnextv2-t_fpn_1x_coco.py"
