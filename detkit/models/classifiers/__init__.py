"""Image classifiers: the model, its data preprocessor, pooling and batch augmentation."""

from detkit.models.classifiers import (
    cls_data_preprocessor,
    image_classifier,
    pooling,
    random_batch_augment,
)

__all__ = ["cls_data_preprocessor", "image_classifier", "pooling", "random_batch_augment"]
