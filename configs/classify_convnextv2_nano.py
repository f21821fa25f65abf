"""Short name of ``classification/convnextv2-atto_30e_128px.py``."""

_base_ = "classification/convnextv2-atto_30e_128px.py"
