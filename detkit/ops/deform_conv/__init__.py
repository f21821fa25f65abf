"""Deformable convolution, versions 1 and 2, at the level of mmcv's extension."""
