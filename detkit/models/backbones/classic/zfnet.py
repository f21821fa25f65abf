"""ZFNet as in its paper, without the last layer.

Legend: B images, H and W height and width in pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from detkit.models.validation import check_count


class ZFNet(nn.Module):
    """The network of Zeiler and Fergus, for images of 224 x 224 and other sizes.

    Layers, strides and map sizes are the paper's (figure 3). Contrast normalization has the
    parameters of AlexNet, since the paper gives none. Weights are initialized as by He et al.
    instead of with std 0.01, which does not train on few images. Images of other sizes are
    average-pooled to the 6 x 6 input of the first linear layer, which changes nothing at
    224 x 224.

    Args:
        in_channels: channels of the image.
        dropout: probability, after both linear layers.

    Raises:
        ConfigError: ``in_channels`` is not a positive integer.

    Source: arXiv 1311.2901, figure 3; the normalization: Krizhevsky et al. 2012, section 3.3.
    """

    def __init__(self, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        check_count("ZFNet", "in_channels", in_channels)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 96, 7, stride=2, padding=1), nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True), _contrast_norm(),
            nn.Conv2d(96, 256, 5, stride=2), nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True), _contrast_norm(),
            nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.pooling = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout),
        )
        self.num_features = 4096
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W), H and W at least 63 -> (B, 4096), the output of layer 7."""
        features: Tensor = self.classifier(self.pooling(self.features(x)).flatten(1))
        return features


def _contrast_norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)
