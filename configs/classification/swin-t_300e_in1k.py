"""``configs/classify_swin.py``, under the name that mmpretrain would give it."""

_base_ = "../classify_swin.py"
