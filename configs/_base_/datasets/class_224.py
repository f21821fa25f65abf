"""ImageNet's layout, one folder for each class, at 224 px with RandAugment and random erasing.

``--data PATH`` replaces the images, classes and splits. The test pipeline is that of most published
weights: resize the shorter side to 256 pixels, then crop the center 224 x 224.
"""

dataset_type = "ClsDataset"
data_root = "data/imagenet/"

train_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/RandomResizedCrop", size=224, interpolation="bicubic"),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="TimmAutoAugment", policy="rand-m9-mstd0.5-inc1"),
    dict(
        type="TimmRandomErasing",
        probability=0.25,
        mode="pixel",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    ),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/Resize", size=256, interpolation="bicubic"),
    dict(type="torchvision/CenterCrop", size=224),
    dict(type="PackInputs"),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
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
    batch_size=128,
    num_workers=8,
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
