"""ConvNeXt V2-atto classifier, 128 px: trained from scratch on a laptop CPU.

Backbone: ConvNeXt V2-atto
Head:     layer norm, linear, label smoothing 0.1
Schedule: 30 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 16 images a step
Data:     one folder for each class at 128 px: crops, flips
Expected: 0.600 top-1 on the test split (60 images) of 600 photos of trash in 6 classes. On line
          drawings on white it has learned nothing yet after 15 epochs of 512 of them.
Cost:     625 seconds on one core for the trash, 1.4 GB; 28 images a second in training and 52 in
          prediction one by one, on one core in float32 (benchmarks/bench_classifiers.py).
Run:      python tools/train.py configs/classify_convnextv2_nano.py --data PATH
Paper:    arXiv 2301.00808
"""

_base_ = [
    "../_base_/models/image_classifier.py",
    "../_base_/datasets/class_128.py",
    "../_base_/schedules/class_scratch.py",
    "../_base_/runtime_class.py",
]

model = dict(
    # The norm is applied after pooling, in the head.
    backbone=dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
    head=dict(norm_cfg=dict(type="LN", eps=1e-6), loss=dict(label_smoothing=0.1)),
)
