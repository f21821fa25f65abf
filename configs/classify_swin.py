"""Swin-T classifier, ImageNet's layout, 224 px, 300 epochs with RandAugment, mixup and cutmix.

Backbone: Swin-T, drop path 0.2
Head:     linear, label smoothing 0.1
Schedule: 300 epochs, AdamW, lr 1e-3 for 1,024 images a step, cosine
Data:     ImageNet's layout at 224 px: RandAugment, random erasing, mixup, cutmix
Expected: not measured here; the paper reaches 81.3 top-1 on ImageNet-1k from random weights (arXiv
          2103.14030, table 1).
Cost:     not measured.
Run:      python tools/train.py configs/classify_swin.py --data PATH --amp --auto-scale-lr
          Begins with torchvision's ImageNet weights, downloaded once. From a file: --cfg-options
          model.init_cfg.type=Pretrained model.init_cfg.checkpoint=FILE; at random, as in the
          paper: --from-scratch.
Paper:    arXiv 2103.14030
"""

_base_ = [
    "_base_/models/image_classifier.py",
    "_base_/datasets/class_224.py",
    "_base_/schedules/class_300e.py",
    "_base_/runtime_class.py",
]

model = dict(
    backbone=dict(
        type="SwinTransformer",
        arch="tiny",
        weights="imagenet",
        out_indices=(3,),
        drop_path_rate=0.2,
    ),
    head=dict(loss=dict(label_smoothing=0.1)),
    train_cfg=dict(
        augments=[dict(type="MixUp", alpha=0.8), dict(type="CutMix", alpha=1.0)],
    ),
)

# The published weights are evaluated on center crops of images of 248 pixels: 224 / 0.9.
test_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/Resize", size=248, interpolation="bicubic"),
    dict(type="torchvision/CenterCrop", size=224),
    dict(type="PackInputs"),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# The paper uses no EMA.
custom_hooks = []
