"""Backbones: each publishes the channels and strides of the maps that it gives."""

from detkit.models.backbones.convnextv2 import ConvNeXtV2
from detkit.models.backbones.efficientnet import EfficientNet
from detkit.models.backbones.swin import SwinTransformer
from detkit.models.backbones.timm_backbone import TimmBackbone

__all__ = ["ConvNeXtV2", "EfficientNet", "SwinTransformer", "TimmBackbone"]
