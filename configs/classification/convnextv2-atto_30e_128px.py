"""ConvNeXt V2-atto classifier, 128 px: trained from scratch on a laptop CPU.

Backbone: ConvNeXt V2-atto
Head:     layer norm, linear, label smoothing 0.1
Schedule: 30 epochs from scratch, AdamW, lr 1e-3, cosine, EMA; 16 images a step
Data:     one folder for each class at 128 px: crops, flips
Expected: 0.600 top-1 on the test split (60 images) of 600 photos of trash in 6 classes, measured
          without input_norm; 0.656 on that (64 images) of 640 sketches over 15 epochs, and 0.250,
          the most frequent class, without input_norm.
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
    # Mean and std of the training images. With ImageNet's a white page is 2.4 times the std of
    # photos, and the layer norms keep that constant, in which thin strokes are lost.
    input_norm=dict(type="BN", affine=False, momentum=None),
    # The norm is applied after pooling, in the head.
    backbone=dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
    head=dict(norm_cfg=dict(type="LN", eps=1e-6), loss=dict(label_smoothing=0.1)),
)
