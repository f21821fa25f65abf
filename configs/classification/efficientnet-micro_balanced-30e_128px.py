"""EfficientNet-micro classifier, 128 px, class-balanced sampling for imbalanced data.

Backbone: EfficientNet-micro with its head convolution
Head:     dropout 0.1, linear
Schedule: 30 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 16 images a step
Data:     one folder for each class at 128 px, class-balanced: TrivialAugment, mixup
Expected: not measured here.
Cost:     that of configs/classify_efficientnet_nano.py.
Run:      python tools/train.py configs/classify_efficientnet_nano_balanced.py --data PATH
          Weights in the loss in place of sampling (arXiv 1901.05555): --cfg-options
          train_dataloader.sampler.power=0 model.head.loss.type=ClassBalancedLoss
Paper:    arXiv 1905.11946, arXiv 1901.05555
"""

_base_ = [
    "../_base_/models/image_classifier.py",
    "../_base_/datasets/class_128.py",
    "../_base_/schedules/class_scratch.py",
    "../_base_/runtime_class.py",
]

model = dict(
    backbone=dict(type="EfficientNet", arch="micro", out_indices=(3,), head_conv=True),
    head=dict(dropout=0.1),
    train_cfg=dict(augments=[dict(type="MixUp", alpha=0.2)]),
)

# Images of rare classes repeat often, so they are augmented more.
train_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/RandomResizedCrop", size=128, scale=(0.35, 1.0)),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="torchvision/TrivialAugmentWide"),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type="ClassBalancedSampler"),
    dataset=dict(pipeline=train_pipeline),
)
default_hooks = dict(checkpoint=dict(save_best="cls/balanced_accuracy"))
