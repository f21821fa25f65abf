"""Short name of ``detr/deformable-detr_swin-t_50e_coco.py``."""

_base_ = "detr/deformable-detr_swin-t_50e_coco.py"
