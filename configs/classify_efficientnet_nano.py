"""EfficientNet-nano classifier, 128 px: trained from nothing on a laptop CPU.

Expected: not measured yet.
Cost:     not measured yet.
Run:      python tools/train.py configs/classify_efficientnet_nano.py --data PATH
Paper:    arXiv 1905.11946
"""

_base_ = [
    "_base_/datasets/class_128.py",
    "_base_/schedules/class_scratch.py",
    "_base_/runtime_class.py",
]

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClassDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    # So few steps see little of the pictures: what makes them harder does not pay.
    backbone=dict(
        type="EfficientNet", arch="nano", out_indices=(3,), head_conv=True, drop_path_rate=0.0
    ),
    head=dict(
        type="LinearClsHead",
        loss=dict(type="SoftCrossEntropyLoss", label_smoothing=0.1),
    ),
)

optim_wrapper = dict(optimizer=dict(lr=2e-3))
