"""A thumbnail image classifier, untrained, in a checkpoint as mmengine's Runner writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")

# ResNet-18 with few channels on 64 pixels; its test pipeline is the usual resize and crop.
CONFIG = """
default_scope = 'detkit'
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClsDataPreprocessor', mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375]),
    backbone=dict(
        type='ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(3,)),
    head=dict(
        type='LinearClsHead', num_classes=NUM_CLASSES, in_channels=64,
        loss=dict(type='SoftCrossEntropyLoss')))
test_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ClsDataset', ann_file='gone.csv', data_prefix=dict(img='gone/'), test_mode=True,
        pipeline=[
            dict(type='LoadClsImage'),
            dict(type='torchvision/Resize', size=72, interpolation='bicubic'),
            dict(type='torchvision/CenterCrop', size=64),
            dict(type='PackInputs'),
        ]))
"""


def save_class_thumbnail(
    path: Path, classes: tuple[str, ...] = CLASSES, num_classes: int | None = None
) -> Path:
    """Write the checkpoint; the same weights each time.

    Args:
        path: where to.
        classes: the names that it carries.
        num_classes: of the head; as many as the names when None.
    """
    import torch
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from detkit.registry import MODELS

    text = CONFIG.replace("NUM_CLASSES", str(num_classes or len(classes)))
    cfg = Config.fromstring(text, ".py")
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("detkit"):
        model: Any = MODELS.build(cfg.model)
    # Untrained, it says the same of all pictures; large weights give probabilities apart.
    torch.nn.init.normal_(model.head.fc.weight, std=30.0)
    torch.save(
        {
            "state_dict": model.state_dict(),
            "meta": {"cfg": cfg.pretty_text, "dataset_meta": {"classes": classes}},
        },
        path,
    )
    return path
