"""The classic networks from LeNet-5 to CoAtNet, chosen by name, 224 px, from scratch.

Backbone: ClassicNetwork, here ResNet-18
Head:     linear, cross entropy
Schedule: 30 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 16 images a step
Data:     one folder for each class at 224 px: crops, flips
Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/classify_teaching.py --data PATH
          Another network: --cfg-options model.backbone.name=lenet5, or zfnet, alexnet, vgg11,
          googlenet, resnet18, resnet50, wide_resnet50_2, resnext50_32x4d, seresnet50,
          densenet121, vit_tiny_patch16_224, coatnet_nano_rw_224, convit_tiny
          (detkit/models/backbones/classic/classic_networks.py)
Paper:    named for each network in classic_networks.py
"""

_base_ = [
    "../_base_/models/image_classifier.py",
    "../_base_/datasets/class_224.py",
    "../_base_/schedules/class_scratch.py",
    "../_base_/runtime_class.py",
]

model = dict(
    backbone=dict(type="ClassicNetwork", name="resnet18"),
    # The networks include their pooling.
    pooling=None,
)

# As these networks were trained: crops and flips only.
train_pipeline = [
    dict(type="LoadClsImage"),
    dict(type="torchvision/RandomResizedCrop", size=224),
    dict(type="torchvision/RandomHorizontalFlip"),
    dict(type="PackInputs"),
]
train_dataloader = dict(batch_size=16, num_workers=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, num_workers=2)
test_dataloader = val_dataloader
