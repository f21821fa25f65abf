"""Cascade R-CNN for a laptop CPU on EfficientNet-Lite with ImageNet weights; a config sets the arch.

What differs from ``cascade_rcnn_micro.py``. docs/recipes.md has the measurements behind it.
"""

_base_ = "cascade_rcnn_micro.py"

# With the weights come padding and eps; mean and std are those that they were trained with.
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        type="EfficientNet",
        arch="lite0",
        weights="imagenet",
        norm_eval=True,
        frozen_stages=1,
        drop_path_rate=0.0,
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=200)),
    test_cfg=dict(rcnn=dict(score_thr=0.001, nms=dict(type="tail_nms"))),
)
