"""Swin-micro classifier, 128 px: trained from scratch on a laptop CPU.

Backbone: Swin-micro, drop path 0.05
Head:     linear, label smoothing 0.1
Schedule: 30 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 16 images a step
Data:     one folder for each class at 128 px: crops, flips
Expected: 0.633 top-1 on the test split (60 images) of 600 photos of trash in 6 classes, measured
          without input_norm. 640 sketches: 0.609 on validation at 64 px after the first 7 of 15
          epochs; without input_norm 0.250, the most frequent class, after 10 epochs at 128 px.
Cost:     860 seconds on one core for the trash, 1.5 GB; 18 images a second in training and 26 in
          prediction one by one, on one core in float32 (benchmarks/bench_classifiers.py).
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
    # Mean and std of the training images. With ImageNet's a white page is 2.4 times the std of
    # photos, and the layer norms keep that constant, in which thin strokes are lost.
    input_norm=dict(type="BN", affine=False, momentum=None),
    backbone=dict(type="SwinTransformer", arch="micro", out_indices=(3,), drop_path_rate=0.05),
    head=dict(loss=dict(label_smoothing=0.1)),
)
