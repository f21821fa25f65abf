"""ConvNeXt V2: the model, its layers and sizes, and the checkpoints that it can read."""
