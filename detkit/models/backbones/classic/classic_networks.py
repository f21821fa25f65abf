"""Table of the classic networks, in historical order: library, paper and input size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassicNetworkEntry:
    """One network of the table.

    Args:
        library: 'detkit' (implemented here), 'torchvision' or 'timm', which have it by this name.
        paper: the publication.
        image_size: side of the images in the paper, in pixels.
        min_size: smallest image side with a non-empty last feature map; None where the network
            takes square images of a fixed size only, which ``img_size`` sets.
        classifier: for torchvision's networks, the path of the last layer, which is removed.
        layer_pattern: for networks not from timm, a regular expression that finds the layer in a
            parameter's name, for layer-wise learning rate decay.
    """

    library: str
    paper: str
    image_size: int
    min_size: int | None
    classifier: str = ""
    layer_pattern: str = ""


_RESNET = r"^layer\d\.\d+"
_SEQUENTIAL = r"^(features|classifier)\.\d+"

CLASSIC_NETWORKS: dict[str, ClassicNetworkEntry] = {
    "lenet5": ClassicNetworkEntry("detkit", "Proc. IEEE 86 (11), 1998", 32, 32,
                                  layer_pattern=r"^\w+"),
    "alexnet": ClassicNetworkEntry("torchvision", "arXiv 1404.5997", 224, 63, "classifier.6",
                                   _SEQUENTIAL),
    "zfnet": ClassicNetworkEntry("detkit", "arXiv 1311.2901", 224, 63, layer_pattern=_SEQUENTIAL),
    "vgg11": ClassicNetworkEntry("torchvision", "arXiv 1409.1556", 224, 32, "classifier.6",
                                 _SEQUENTIAL),
    "googlenet": ClassicNetworkEntry("torchvision", "arXiv 1409.4842", 224, 15, "fc",
                                     r"^(conv\d|inception\w+)"),
    "resnet18": ClassicNetworkEntry("torchvision", "arXiv 1512.03385", 224, 1, "fc", _RESNET),
    "resnet50": ClassicNetworkEntry("torchvision", "arXiv 1512.03385", 224, 1, "fc", _RESNET),
    "wide_resnet50_2": ClassicNetworkEntry("torchvision", "arXiv 1605.07146", 224, 1, "fc",
                                           _RESNET),
    "resnext50_32x4d": ClassicNetworkEntry("torchvision", "arXiv 1611.05431", 224, 1, "fc",
                                           _RESNET),
    "densenet121": ClassicNetworkEntry("torchvision", "arXiv 1608.06993", 224, 29, "classifier",
                                       r"^features\.(denseblock\d+\.denselayer\d+)"),
    "seresnet50": ClassicNetworkEntry("timm", "arXiv 1709.01507", 224, 1),
    "vit_tiny_patch16_224": ClassicNetworkEntry("timm", "arXiv 2010.11929, 2106.10270", 224, None),
    "coatnet_nano_rw_224": ClassicNetworkEntry("timm", "arXiv 2106.04803", 224, None),
    "convit_tiny": ClassicNetworkEntry("timm", "arXiv 2103.10697", 224, None),
}
