"""ConvNeXt V2-T classifier, 224 px, fine-tuned over 100 epochs with layer-wise decay.

Backbone: ConvNeXt V2-T, drop path 0.2
Head:     layer norm, linear, label smoothing 0.1
Schedule: 100 epochs, AdamW, lr 8e-4 for 1,024 images a step, layer-wise decay 0.9, cosine, EMA
Data:     ImageNet's layout at 224 px: RandAugment, random erasing, mixup, cutmix
Expected: not measured here; the paper reaches 83.0 top-1 on ImageNet-1k from its self-supervised
          weights over 300 epochs (arXiv 2301.00808).
Cost:     not measured.
Run:      python tools/train.py configs/classify_convnextv2.py --data PATH --amp --auto-scale-lr
          Begins with the ImageNet weights of the paper's authors (CC-BY-NC), downloaded once.
          From a file: --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE; at random: --from-scratch.
Paper:    arXiv 2301.00808
"""

_base_ = [
    "../_base_/models/image_classifier.py",
    "../_base_/datasets/class_224.py",
    "../_base_/schedules/class_300e.py",
    "../_base_/runtime_class.py",
]

model = dict(
    # The norm is applied after pooling, in the head.
    backbone=dict(
        type="ConvNeXtV2",
        arch="tiny",
        weights="imagenet",
        out_indices=(3,),
        output_norms=False,
        drop_path_rate=0.2,
    ),
    head=dict(norm_cfg=dict(type="LN", eps=1e-6), loss=dict(label_smoothing=0.1)),
    train_cfg=dict(
        augments=[dict(type="MixUp", alpha=0.8), dict(type="CutMix", alpha=1.0)],
    ),
)

optim_wrapper = dict(
    constructor="LearningRateDecayOptimWrapperConstructor",
    optimizer=dict(lr=8e-4),
    paramwise_cfg=dict(decay_rate=0.9),
)

max_epochs = 100
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=5),
    dict(_base_.param_scheduler[1], begin=5, end=max_epochs, T_max=max_epochs - 5),
]
