"""Backbones; each has the channels and strides of its feature maps as attributes.

``TimmNetwork`` and ``ClassicNetwork`` output one vector for each image instead of feature maps;
they are for classifiers only.
"""

from detkit.models.backbones.classic.classic_network import ClassicNetwork
from detkit.models.backbones.convnextv2.convnextv2 import ConvNeXtV2
from detkit.models.backbones.efficientnet.efficientnet import EfficientNet
from detkit.models.backbones.swin.swin import SwinTransformer
from detkit.models.backbones.timm.timm_backbone import TimmBackbone
from detkit.models.backbones.timm.timm_network import TimmNetwork

__all__ = ["ConvNeXtV2", "EfficientNet", "SwinTransformer", "ClassicNetwork", "TimmBackbone",
           "TimmNetwork"]
