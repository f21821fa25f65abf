"""Short name of ``classification/timm-resnet50_300e_in1k.py``."""

_base_ = "classification/timm-resnet50_300e_in1k.py"
