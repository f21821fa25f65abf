"""Deformable convolution, versions 1 and 2, with the signatures of mmcv's extension."""
