"""Short name of ``cascade_rcnn/cascade-rcnn_convnextv2-t_fpn_3x_coco.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_convnextv2-t_fpn_3x_coco.py"
