"""``configs/cascade_swin_nano.py``, under the name that mmdet would give it."""

_base_ = "../cascade_swin_nano.py"
