"""The networks that classification was learned on, in their order: who makes them, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TeachingEntry:
    """One network of the table.

    Args:
        maker: 'detkit' (written here), 'torchvision' or 'timm', who know it by the same name.
        paper: where it was published.
        side: of the images in the paper, in pixels.
        least: the smallest side that still leaves the last layer something to look at; None where
            the network takes square images of one size alone, which ``img_size`` sets.
        last: of torchvision's the path of the last layer, which the head stands in for.
        layers: of those that timm does not group a pattern that finds in a parameter's name the
            layer that it belongs to, for decay by depth.
    """

    maker: str
    paper: str
    side: int
    least: int | None
    last: str = ""
    layers: str = ""


_RESNET = r"^layer\d\.\d+"
_SEQUENTIAL = r"^(features|classifier)\.\d+"

TEACHING_NETWORKS: dict[str, TeachingEntry] = {
    "lenet5": TeachingEntry("detkit", "Proc. IEEE 86 (11), 1998", 32, 32, layers=r"^\w+"),
    "alexnet": TeachingEntry("torchvision", "arXiv 1404.5997", 224, 63, "classifier.6",
                             _SEQUENTIAL),
    "zfnet": TeachingEntry("detkit", "arXiv 1311.2901", 224, 63, layers=_SEQUENTIAL),
    "vgg11": TeachingEntry("torchvision", "arXiv 1409.1556", 224, 32, "classifier.6", _SEQUENTIAL),
    "googlenet": TeachingEntry("torchvision", "arXiv 1409.4842", 224, 15, "fc",
                               r"^(conv\d|inception\w+)"),
    "resnet18": TeachingEntry("torchvision", "arXiv 1512.03385", 224, 1, "fc", _RESNET),
    "resnet50": TeachingEntry("torchvision", "arXiv 1512.03385", 224, 1, "fc", _RESNET),
    "wide_resnet50_2": TeachingEntry("torchvision", "arXiv 1605.07146", 224, 1, "fc", _RESNET),
    "resnext50_32x4d": TeachingEntry("torchvision", "arXiv 1611.05431", 224, 1, "fc", _RESNET),
    "densenet121": TeachingEntry("torchvision", "arXiv 1608.06993", 224, 29, "classifier",
                                 r"^features\.(denseblock\d+\.denselayer\d+)"),
    "seresnet50": TeachingEntry("timm", "arXiv 1709.01507", 224, 1),
    "vit_tiny_patch16_224": TeachingEntry("timm", "arXiv 2010.11929, 2106.10270", 224, None),
    "coatnet_nano_rw_224": TeachingEntry("timm", "arXiv 2106.04803", 224, None),
    "convit_tiny": TeachingEntry("timm", "arXiv 2103.10697", 224, None),
}
