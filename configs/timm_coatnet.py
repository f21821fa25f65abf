"""Short name of ``faster_rcnn/faster-rcnn_coatnet-0_fpn_1x_coco-320.py``."""

_base_ = "faster_rcnn/faster-rcnn_coatnet-0_fpn_1x_coco-320.py"
