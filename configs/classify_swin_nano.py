"""Swin-micro classifier, 128 px: trained from nothing on a laptop CPU.

Expected: 0.633 top-1 on the test split (60 pictures) of 600 photos of trash in 6 classes. Line
          drawings on white it has not begun to learn after 10 epochs of 512 of them.
Cost:     860 seconds of one core for the trash, 1.5 GB; 18 pictures a second in training and 26
          in prediction one by one, on one core in float32 (benchmarks/bench_classifiers.py).
Run:      python tools/train.py configs/classify_swin_nano.py --data PATH
Paper:    arXiv 2103.14030
"""

_base_ = [
    "_base_/models/image_classifier.py",
    "_base_/datasets/class_128.py",
    "_base_/schedules/class_scratch.py",
    "_base_/runtime_class.py",
]

model = dict(
    backbone=dict(type="SwinTransformer", arch="micro", out_indices=(3,), drop_path_rate=0.05),
    head=dict(loss=dict(label_smoothing=0.1)),
)
