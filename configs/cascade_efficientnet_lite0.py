"""Short name of ``cascade_rcnn/cascade-rcnn_efficientnet-lite0_fpn_18e_coco-320.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_efficientnet-lite0_fpn_18e_coco-320.py"
