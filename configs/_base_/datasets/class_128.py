"""Pictures in a folder a class at 128 px, for a laptop CPU: crops and flips.

``--data PATH`` puts other pictures, classes and splits in the places named here.
"""

dataset_type = "ClsDataset"
data_root = "data/imagenet/"

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
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="",
        data_prefix=dict(img="train"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="",
        data_prefix=dict(img="val"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="ClassificationMetric")
test_evaluator = val_evaluator
