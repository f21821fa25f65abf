"""Short name of ``cascade_rcnn/cascade-rcnn_seresnet50_fpn_1x_coco.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_seresnet50_fpn_1x_coco.py"
