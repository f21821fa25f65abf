"""A user's config as it was written before the renames: LeNet-5 by its name in the table."""

_base_ = ["../../configs/classify_teaching.py"]

model = dict(
    backbone=dict(type="TeachingNetwork", name="lenet5", in_channels=3),
    head=dict(type="LinearClsHead", loss=dict(type="SoftmaxFocalLoss")),
)

train_pipeline = [
    dict(type="LoadPicture"),
    dict(type="torchvision/RandomResizedCrop", size=32, scale=(0.5, 1.0)),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="PackClassInputs"),
]
test_pipeline = [
    dict(type="LoadPicture"),
    dict(type="torchvision/Resize", size=36),
    dict(type="torchvision/CenterCrop", size=32),
    dict(type="PackClassInputs"),
]
train_dataloader = dict(num_workers=0, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=20)]
