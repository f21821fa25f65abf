"""One folder of images for each class at 128 px, for a laptop CPU: crops and flips."""

_base_ = "class_224.py"

train_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/RandomResizedCrop", size=128, scale=(0.35, 1.0)),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/Resize", size=144),
    dict(type="torchvision/CenterCrop", size=128),
    dict(type="PackInputs"),
]

train_dataloader = dict(
    batch_size=16, num_workers=2, drop_last=True, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(batch_size=16, num_workers=2, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
