"""EfficientNet: the model, its layers and sizes, and its checkpoint conversion."""
