"""EfficientNet-B0 classifier, ImageNet's layout, 224 px, 300 epochs with AutoAugment and EMA.

Backbone: EfficientNet-B0 with its head convolution, drop path 0.2
Head:     dropout 0.2, linear, label smoothing 0.1
Schedule: 300 epochs, AdamW, lr 1e-3 for 1,024 images a step, cosine, EMA
Data:     ImageNet's layout at 224 px: AutoAugment
Expected: not measured here; the paper reaches 77.1 top-1 on ImageNet-1k from random weights (arXiv
          1905.11946, table 2) with RMSProp, which is AdamW here.
Cost:     not measured.
Run:      python tools/train.py configs/classify_efficientnet.py --data PATH --amp --auto-scale-lr
          Begins with torchvision's ImageNet weights, downloaded once. From a file: --cfg-options
          model.init_cfg.type=Pretrained model.init_cfg.checkpoint=FILE; at random, as in the
          paper: --from-scratch.
Paper:    arXiv 1905.11946, arXiv 1805.09501
"""

_base_ = [
    "../_base_/models/image_classifier.py",
    "../_base_/datasets/class_224.py",
    "../_base_/schedules/class_300e.py",
    "../_base_/runtime_class.py",
]

model = dict(
    backbone=dict(
        type="EfficientNet",
        arch="b0",
        weights="imagenet",
        out_indices=(3,),
        head_conv=True,
        drop_path_rate=0.2,
    ),
    head=dict(dropout=0.2, loss=dict(label_smoothing=0.1)),
)

train_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/RandomResizedCrop", size=224, interpolation="bicubic"),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="torchvision/AutoAugment", policy="imagenet", interpolation="bilinear"),
    dict(type="PackInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
