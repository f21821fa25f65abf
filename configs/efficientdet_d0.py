"""Short name of ``efficientdet/efficientdet-d0_300e_coco.py``."""

_base_ = "efficientdet/efficientdet-d0_300e_coco.py"
