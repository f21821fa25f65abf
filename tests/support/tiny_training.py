"""A data set of coloured rectangles and a thumbnail of a detector, for tests that really train."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("red", "green")

CONFIG = """
default_scope = "detkit"
pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(64, 64), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(64, 64), keep_ratio=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape",
                                          "scale_factor")),
]
metainfo = dict(classes=("red", "green"))
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="CocoDataset", data_root="DATA", ann_file="train.json", metainfo=metainfo,
                 data_prefix=dict(img="images"), pipeline=pipeline),
)
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="CocoDataset", data_root="DATA", ann_file="train.json", metainfo=metainfo,
                 data_prefix=dict(img="images"), test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="CocoBBoxMetric", ann_file="DATA/train.json")
test_evaluator = val_evaluator
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=3, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.001),
                     clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=4),
    dict(type="CosineAnnealingLR", by_epoch=True, begin=0, end=3, T_max=3,
         convert_to_iter_based=True),
]
default_hooks = dict(
    curves=None,  # costs time in each of many runs
    logger=dict(type="LoggerHook", interval=1),
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2,
                    save_best="coco/bbox_mAP"),
)
custom_hooks = [dict(type="EMAHook", momentum=0.2),
                dict(type="EarlyStoppingHook", monitor="coco/bbox_mAP", patience=9)]
log_processor = dict(window_size=1)
visualizer = dict(type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend"),
                                                           dict(type="TensorboardVisBackend")])
randomness = dict(seed=3)
auto_scale_lr = dict(base_batch_size=2)
model = dict(
    type="FasterRCNN",
    data_preprocessor=dict(type="DetDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255],
                           pad_size_divisor=32),
    backbone=dict(type="ResNet", depth=18, base_channels=8, stem_channels=8, num_stages=4,
                  out_indices=(1, 2, 3), norm_cfg=dict(type="BN"), norm_eval=False),
    neck=dict(type="FPN", out_channels=16, num_outs=3),
    rpn_head=dict(
        type="RPNHead", feat_channels=16,
        anchor_generator=dict(type="AnchorGenerator", scales=[2], ratios=[1.0],
                              strides=[8, 16, 32]),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True),
        loss_bbox=dict(type="L1Loss"),
    ),
    roi_head=dict(
        type="StandardRoIHead",
        bbox_roi_extractor=dict(type="SingleRoIExtractor", featmap_strides=[8, 16, 32],
                                roi_layer=dict(type="RoIAlign", output_size=4, sampling_ratio=1)),
        bbox_head=dict(type="Shared2FCBBoxHead", fc_out_channels=32, roi_feat_size=4,
                       bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
                       loss_cls=dict(type="CrossEntropyLoss"), loss_bbox=dict(type="L1Loss")),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(type="MaxIoUAssigner", pos_iou_thr=0.7, neg_iou_thr=0.3,
                               min_pos_iou=0.3),
                 sampler=dict(type="RandomSampler", num=32, pos_fraction=0.5,
                              add_gt_as_proposals=False),
                 allowed_border=-1, pos_weight=-1, debug=False),
        rpn_proposal=dict(nms_pre=50, max_per_img=20, nms=dict(type="nms", iou_threshold=0.7),
                          min_bbox_size=0),
        rcnn=dict(assigner=dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.5,
                                min_pos_iou=0.5),
                  sampler=dict(type="RandomSampler", num=16, pos_fraction=0.25),
                  pos_weight=-1, debug=False),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=50, max_per_img=20, nms=dict(type="nms", iou_threshold=0.7),
                 min_bbox_size=0),
        rcnn=dict(score_thr=0.01, nms=dict(type="nms", iou_threshold=0.5), max_per_img=10),
    ),
)
"""


def write_data(folder: Path, images: int = 6) -> Path:
    """A COCO file train.json and its images, one or two rectangles on each."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    content: dict = {
        "images": [], "annotations": [],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
    }
    for number in range(1, images + 1):
        pixels = np.full((64, 64, 3), 128, np.uint8)
        for _ in range(1 + number % 2):
            kind = int(rng.integers(2))
            x, y = (int(v) for v in rng.integers(0, 36, 2))
            w, h = (int(v) for v in rng.integers(14, 26, 2))
            pixels[y:y + h, x:x + w] = (220, 30, 30) if kind == 0 else (30, 220, 30)
            content["annotations"].append({
                "id": len(content["annotations"]) + 1, "image_id": number, "iscrowd": 0,
                "category_id": kind + 1, "bbox": [x, y, w, h], "area": w * h,
            })
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        content["images"].append(
            {"id": number, "file_name": f"{number}.png", "width": 64, "height": 64}
        )
    (folder / "train.json").write_text(json.dumps(content))
    return folder


def write_config(folder: Path, data: Path, extra: str = "") -> Path:
    """The tiny config for ``data``, with ``extra`` lines at its end."""
    path = folder / "tiny.py"
    path.write_text(CONFIG.replace("DATA", str(data)) + extra)
    return path
