"""Short name of ``classification/efficientnet-lite0_15e_224px.py``."""

_base_ = "classification/efficientnet-lite0_15e_224px.py"
