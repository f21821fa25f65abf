"""A thumbnail Cascade R-CNN, untrained, in a checkpoint as mmengine's Runner writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CLASSES = ("car", "bus", "dog")

BBOX_CODER = "dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2])"
HEAD = f"""dict(
    type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=32, roi_feat_size=3,
    num_classes={len(CLASSES)}, reg_class_agnostic=True, bbox_coder={BBOX_CODER},
    loss_cls=dict(type='CrossEntropyLoss'), loss_bbox=dict(type='SmoothL1Loss'))"""

# ResNet-18 with few channels: the whole model takes some ten milliseconds at 96 pixels.
CONFIG = f"""
default_scope = 'detkit'
model = dict(
    type='CascadeRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5),
    rpn_head=dict(
        type='RPNHead', in_channels=16, feat_channels=16,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_bbox=dict(type='SmoothL1Loss')),
    roi_head=dict(
        type='CascadeRoIHead', num_stages=3, stage_loss_weights=[1, 0.5, 0.25],
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', out_channels=16, featmap_strides=[4, 8, 16, 32],
            roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2)),
        bbox_head=[{HEAD}, {HEAD}, {HEAD}]),
    test_cfg=dict(
        rpn=dict(nms_pre=100, max_per_img=30, nms=dict(type='nms', iou_threshold=0.7),
                 min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=20)))
test_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset', data_root='gone/', ann_file='gone.json', test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(96, 96), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs',
                 meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ]))
"""


def save_thumbnail(path: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """Write the checkpoint; the same weights each time."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from detkit.registry import MODELS

    cfg = Config.fromstring(CONFIG, ".py")
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("detkit"):
        model: Any = MODELS.build(cfg.model)
    # Untrained heads say the same everywhere; larger weights give scores apart.
    for head in model.roi_head.bbox_head:
        torch.nn.init.normal_(head.fc_cls.weight, std=0.3)
    torch.save(
        {
            "state_dict": model.state_dict(),
            "meta": {"cfg": cfg.pretty_text, "dataset_meta": {"classes": classes}},
        },
        path,
    )
    return path
