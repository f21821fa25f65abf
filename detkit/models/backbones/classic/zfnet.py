"""ZFNet, AlexNet with a finer eye, up to the layer before the last.

Legend: B images, H and W height and width in pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

from detkit.models.validation import check_count


class ZFNet(nn.Module):
    """The network of Zeiler and Fergus, for images of 224 x 224 pixels or others.

    Layers, strides and sizes of maps are the paper's (its figure 3). The contrast normalisation
    across maps has AlexNet's numbers, for the paper gives none, and weights begin as He et al.
    propose in place of a deviation of 0.01, with which it does not learn from few images. Images
    of another size are averaged to the 6 x 6 cells that the first linear layer sees of one of
    224 x 224, which changes nothing at 224 x 224.

    Args:
        in_channels: of the image.
        dropout: behind both linear layers; a probability.

    Raises:
        ConfigError: a number that cannot be.

    Source: arXiv 1311.2901, figure 3; the normalisation: Krizhevsky et al. 2012, section 3.3.
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
        """(B, in_channels, H, W), H and W at least 63 -> (B, 4096), what the seventh layer says."""
        features: Tensor = self.classifier(self.pooling(self.features(x)).flatten(1))
        return features


def _contrast_norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)
