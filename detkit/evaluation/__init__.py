"""How good a model is: COCO's box scores of a detector, a classifier's accuracy by class.

Both are there as plain values and as the metrics ``CocoBBoxMetric`` and ``ClassificationMetric``.
Reading this package costs nothing; ``box_ap`` and ``class_metric``, which need torch and mmengine,
are
imported by the registry when a metric is looked up.
"""
