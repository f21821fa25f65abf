"""EfficientNet-micro classifier, 128 px: trained from scratch on a laptop CPU.

Backbone: EfficientNet-micro with its head convolution, no drop path
Head:     linear, label smoothing 0.1
Schedule: 30 epochs from scratch, AdamW, lr 2e-3, cosine, EMA; 16 images a step
Data:     one folder for each class at 128 px: crops, flips
Expected: 0.567 top-1 on the test split (60 images) of 600 photos of trash in 6 classes; 0.813 on
          that (64 images) of 640 sketches in 7 classes over 15 epochs.
Cost:     493 seconds on one core for the trash, 1.3 GB; 43 images a second in training and 60 in
          prediction one by one, on one core in float32 (benchmarks/bench_classifiers.py).
Run:      python tools/train.py configs/classify_efficientnet_nano.py --data PATH
Paper:    arXiv 1905.11946
"""

_base_ = [
    "../_base_/models/image_classifier.py",
    "../_base_/datasets/class_128.py",
    "../_base_/schedules/class_scratch.py",
    "../_base_/runtime_class.py",
]

model = dict(
    # In so few steps stochastic depth does not pay.
    backbone=dict(
        type="EfficientNet", arch="micro", out_indices=(3,), head_conv=True, drop_path_rate=0.0
    ),
    head=dict(loss=dict(label_smoothing=0.1)),
)

optim_wrapper = dict(optimizer=dict(lr=2e-3))
