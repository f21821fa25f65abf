"""Models of timm as backbones: creation, feature levels, and checkpoint conversion."""
