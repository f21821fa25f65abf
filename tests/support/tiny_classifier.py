"""Pictures of three colours and a thumbnail of a classifier, for tests that really train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("blue", "green", "red")
COLOURS = {"blue": (30, 30, 220), "green": (30, 200, 30), "red": (220, 30, 30)}

CONFIG = '''
default_scope = "detkit"
pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/RandomResizedCrop", size=32, scale=(0.5, 1.0)),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="torchvision/RandAugment", num_ops=1, magnitude=3),
    dict(type="torchvision/RandomErasing", p=0.5),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/Resize", size=36),
    dict(type="torchvision/CenterCrop", size=32),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="ClsDataset", data_root="DATA", data_prefix=dict(img="train"),
                 pipeline=pipeline),
)
val_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ClsDataset", data_root="DATA", data_prefix=dict(img="val"),
                 test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="ClassificationMetric", topk=(1, 2))
test_evaluator = val_evaluator
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=3, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.002, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0), constructor="LearningRateDecayOptimWrapperConstructor",
    paramwise_cfg=dict(decay_rate=0.9),
)
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=2)]
default_hooks = dict(
    curves=None,  # costs time in each of many runs
    logger=dict(type="LoggerHook", interval=1),
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2, save_best="cls/top1",
                    rule="greater"),
)
custom_hooks = [dict(type="EMAHook", momentum=0.2)]
log_processor = dict(window_size=1)
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])
randomness = dict(seed=3)
auto_scale_lr = dict(base_batch_size=4)
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(type="ClsDataPreprocessor", mean=[128.0] * 3, std=[64.0] * 3),
    backbone=dict(type="ConvNeXtV2", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16),
                  drop_path_rate=0.1, out_indices=(3,), output_norms=False),
    head=dict(type="LinearClsHead", norm_cfg=dict(type="LN", eps=1e-6), dropout=0.1,
              loss=dict(type="SoftCrossEntropyLoss", label_smoothing=0.1)),
    train_cfg=dict(augments=[dict(type="MixUp", alpha=0.8), dict(type="CutMix", alpha=1.0)]),
)
'''
# A detector with the classifier's backbone.
DETECTOR_BACKBONE = '''
model.update(backbone=dict(type="ConvNeXtV2", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16),
                           out_indices=(1, 2, 3)))
'''


def write_images(folder: Path, train: int = 4, val: int = 2) -> Path:
    """``train`` and ``val`` pictures of each class in a folder for each split and class."""
    rng = np.random.default_rng(0)
    for split, number in (("train", train), ("val", val)):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for index in range(number):
                noise = rng.integers(0, 40, (40, 48, 3))
                pixels = np.clip(np.array(COLOURS[name]) + noise - 20, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return folder


def write_config(folder: Path, data: Path, extra: str = "") -> Path:
    """The tiny config for ``data``, with ``extra`` lines at its end."""
    path = folder / "tiny_class.py"
    path.write_text(CONFIG.replace("DATA", str(data)) + extra)
    return path
