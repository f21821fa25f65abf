"""Short name of ``detr/detr_swin-t_150e_coco.py``."""

_base_ = "detr/detr_swin-t_150e_coco.py"
