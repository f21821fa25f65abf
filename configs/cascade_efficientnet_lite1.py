"""Short name of ``cascade_rcnn/cascade-rcnn_efficientnet-lite1_fpn_18e_coco-416.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_efficientnet-lite1_fpn_18e_coco-416.py"
