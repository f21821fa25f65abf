"""Earlier name of ``cascade_rcnn_micro.py``, for configs that inherit from it."""

_base_ = "cascade_rcnn_micro.py"
