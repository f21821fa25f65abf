"""Short name of ``cascade_rcnn/cascade-rcnn_vit-b_sfp_3x_coco.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_vit-b_sfp_3x_coco.py"
