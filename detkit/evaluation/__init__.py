"""How good a detector is: COCO's box scores, as functions and as the metric ``BoxAP``.

Reading this package costs nothing; ``box_ap``, which needs torch and mmdet, is imported by the
registry when a metric is looked up.
"""
