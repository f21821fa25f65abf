"""ConvNeXtV2-atto classifier, 128 px: trained from nothing on a laptop CPU.

Expected: 0.600 top-1 on the test split (60 pictures) of 600 photos of trash in 6 classes. Line
          drawings on white it has not begun to learn after 15 epochs of 512 of them.
Cost:     625 seconds of one core for the trash, 1.4 GB; 28 pictures a second in training and 52
          in prediction one by one, on one core in float32 (benchmarks/bench_classifiers.py).
Run:      python tools/train.py configs/classify_convnextv2_nano.py --data PATH
Paper:    arXiv 2301.00808
"""

_base_ = [
    "_base_/models/image_classifier.py",
    "_base_/datasets/class_128.py",
    "_base_/schedules/class_scratch.py",
    "_base_/runtime_class.py",
]

model = dict(
    # Its norm stands behind the pooling, in the head.
    backbone=dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
    head=dict(norm_cfg=dict(type="LN", eps=1e-6), loss=dict(label_smoothing=0.1)),
)
