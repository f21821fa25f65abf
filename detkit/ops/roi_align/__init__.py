"""RoIAlign with the signatures of mmcv's extension."""
