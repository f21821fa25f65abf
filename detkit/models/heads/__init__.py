"""Heads that mmdet does not have: EfficientDet, and classification heads."""

from detkit.models.heads.efficientdet_head import EfficientDetHead
from detkit.models.heads.linear_cls_head import LinearClsHead
from detkit.models.heads.mlp_cls_head import MLPClsHead

__all__ = ["EfficientDetHead", "LinearClsHead", "MLPClsHead"]
