"""EfficientNet: the model, its layers and sizes, and the checkpoints that it can read."""
