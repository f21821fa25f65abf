"""Backbones: each publishes the channels and strides of the maps that it gives."""

from detkit.models.backbones.swin import SwinTransformer

__all__ = ["SwinTransformer"]
