"""Faster R-CNN for a laptop CPU at about 320 px: 64 channels, 200 proposals, anchors from 16 px.

What differs from ``faster_rcnn.py``; losses and assigners are its own.
"""

_base_ = "faster_rcnn.py"

model = dict(
    neck=dict(out_channels=64),
    rpn_head=dict(feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=2), finest_scale=28),
        bbox_head=dict(fc_out_channels=256),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128), allowed_border=-1),
        rpn_proposal=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),
)
