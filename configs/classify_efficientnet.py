"""Short name of ``classification/efficientnet-b0_300e_in1k.py``."""

_base_ = "classification/efficientnet-b0_300e_in1k.py"
