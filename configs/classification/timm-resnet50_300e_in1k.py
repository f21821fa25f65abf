"""Any classifier of timm, here ResNet-50 with its published weights, 224 px, 300 epochs.

Backbone: TimmNetwork, here ResNet-50, pretrained
Head:     linear, label smoothing 0.1
Schedule: 300 epochs, AdamW, lr 1e-3 for 1,024 images a step, cosine, EMA
Data:     ImageNet's layout at 224 px: RandAugment, random erasing, mixup, cutmix
Expected: not measured here.
Cost:     not measured.
Run:      python tools/train.py configs/classify_timm.py --data PATH --amp --auto-scale-lr
          Another model: --cfg-options model.backbone.name=NAME, a name of timm.list_models().
          The weights are downloaded from timm's hub; without: model.backbone.pretrained=false
Paper:    arXiv 1512.03385, arXiv 2110.00476
"""

_base_ = [
    "../_base_/models/image_classifier.py",
    "../_base_/datasets/class_224.py",
    "../_base_/schedules/class_300e.py",
    "../_base_/runtime_class.py",
]

model = dict(
    backbone=dict(type="TimmNetwork", name="resnet50", pretrained=True),
    # The network includes its pooling.
    pooling=None,
    head=dict(loss=dict(label_smoothing=0.1)),
    train_cfg=dict(
        augments=[dict(type="MixUp", alpha=0.2), dict(type="CutMix", alpha=1.0)],
    ),
)
