"""Short name of ``classification/classic-networks_30e_224px.py``."""

_base_ = "classification/classic-networks_30e_224px.py"
