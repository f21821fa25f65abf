"""Heads that mmdet lacks."""

from detkit.models.heads.efficientdet_head import EfficientDetHead

__all__ = ["EfficientDetHead"]
