"""Classic classification networks, LeNet-5 to ConViT, as backbones of classifiers."""
