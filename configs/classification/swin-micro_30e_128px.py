"""``configs/classify_swin_nano.py``, under the name that mmpretrain would give it."""

_base_ = "../classify_swin_nano.py"
