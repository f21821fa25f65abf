"""Short name of ``cascade_rcnn/cascade-rcnn_efficientnet-lite2_fpn_18e_coco-512.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_efficientnet-lite2_fpn_18e_coco-512.py"
