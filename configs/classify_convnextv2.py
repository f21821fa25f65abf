"""Short name of ``classification/convnextv2-t_ft-100e_in1k.py``."""

_base_ = "classification/convnextv2-t_ft-100e_in1k.py"
