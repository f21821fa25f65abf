"""Necks that mmdet does not have: BiFPN, deformable and finer FPN, ViTDet's feature pyramid."""

from detkit.models.necks.bifpn import BiFPN
from detkit.models.necks.deformable_fpn import DeformableFPN
from detkit.models.necks.finer_fpn import FinerFPN
from detkit.models.necks.simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ["BiFPN", "DeformableFPN", "FinerFPN", "SimpleFeaturePyramid"]
