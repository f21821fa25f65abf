"""Short name of ``cascade_rcnn/cascade-rcnn_efficientnet-b3_fpn_3x_coco.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_efficientnet-b3_fpn_3x_coco.py"
