"""``configs/cascade_swin.py``, under the name that mmdet would give it."""

_base_ = "../cascade_swin.py"
