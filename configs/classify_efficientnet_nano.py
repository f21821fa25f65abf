"""Short name of ``classification/efficientnet-micro_30e_128px.py``."""

_base_ = "classification/efficientnet-micro_30e_128px.py"
