"""Necks that mmdet lacks: from a backbone's maps to the levels that heads read."""

from detkit.models.necks.bifpn import BiFPN
from detkit.models.necks.deformable_fpn import DeformableFPN
from detkit.models.necks.simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ["BiFPN", "DeformableFPN", "SimpleFeaturePyramid"]
