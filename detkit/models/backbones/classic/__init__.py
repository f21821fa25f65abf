"""The classic classification networks, LeNet-5 to ResNet, as backbones of classifiers."""
