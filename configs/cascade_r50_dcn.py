"""Short name of ``cascade_rcnn/cascade-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py``."""

_base_ = "cascade_rcnn/cascade-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py"
