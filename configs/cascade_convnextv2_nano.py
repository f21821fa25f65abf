"""Short name of ``cascade_rcnn/cascade-rcnn_convnextv2-atto_fpn_18e_coco-320.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_convnextv2-atto_fpn_18e_coco-320.py"
