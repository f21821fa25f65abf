"""Short name of ``cascade_rcnn/cascade-rcnn_efficientnet-micro_fpn_36e_coco-320.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_efficientnet-micro_fpn_36e_coco-320.py"
