"""Detectors: COCO's box evaluation, its ground truth, results, scores and tables."""
