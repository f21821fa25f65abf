"""RoIAlign at the level of mmcv's extension."""
