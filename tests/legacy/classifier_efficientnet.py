"""A user's config as it was written before the renames: a thumbnail classifier, uneven classes."""

_base_ = ["../../configs/classify_efficientnet_nano_balanced.py"]

model = dict(
    data_preprocessor=dict(type="ClassDataPreprocessor", mean=[128.0] * 3, std=[64.0] * 3),
    backbone=dict(type="EfficientNet", arch="nano", out_indices=(0,), head_conv=False),
    head=dict(
        _delete_=True,
        type="MLPClsHead",
        hidden_channels=(16,),
        loss=dict(type="ClassBalancedLoss"),
    ),
    train_cfg=dict(augments=[dict(type="MixUp", alpha=0.2), dict(type="CutMix", alpha=0.2)],
                   probs=[0.3, 0.3]),
)

train_pipeline = [
    dict(type="LoadPicture"),
    dict(type="torchvision/RandomResizedCrop", size=48, scale=(0.5, 1.0)),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="TimmAutoAugment", policy="rand-m3-mstd0.5"),
    dict(type="TimmRandomErasing", probability=0.1),
    dict(type="PackClassInputs"),
]
test_pipeline = [
    dict(type="LoadPicture"),
    dict(type="torchvision/Resize", size=52),
    dict(type="torchvision/CenterCrop", size=48),
    dict(type="PackClassInputs"),
]
train_dataloader = dict(
    num_workers=0,
    sampler=dict(type="ClassBalancedSampler", power=0.5),
    dataset=dict(type="ClassDataset", pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0, dataset=dict(type="detkit.ClassDataset", pipeline=test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(type="ClassificationMetric", topk=(1, 5))
test_evaluator = val_evaluator

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=20)]
optim_wrapper = dict(
    constructor="LayerDecayOptimWrapperConstructor",
    optimizer=dict(lr=3e-3),
    paramwise_cfg=dict(decay_rate=0.9),
)
