"""Evaluation: COCO box scores of detectors, accuracy and per-class scores of classifiers.

Both are available as plain values and as the metrics ``CocoBBoxMetric`` and
``ClassificationMetric``. Importing this package is cheap; the registry imports the files of the
metrics, which need torch and mmengine, when a metric is built.
"""
