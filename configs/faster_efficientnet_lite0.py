"""Short name of ``faster_rcnn/faster-rcnn_efficientnet-lite0_fpn_18e_coco-320.py``."""

_base_ = "faster_rcnn/faster-rcnn_efficientnet-lite0_fpn_18e_coco-320.py"
