"""Compare the AP of an engine with that of its checkpoint, on the same images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from detkit.errors import DataError
from detkit.evaluation.detection.coco_metric import CocoBBoxMetric
from detkit.inference.export.eval_split import EvalSplit, ImageRecord
from detkit.inference.export.manifest import AccuracyReport
from detkit.structures.detections import Detections

PredictFn = Callable[[Sequence[Any]], list[Detections]]
# Opens a progress bar with a label and a total; returns a function to call after each item.
ProgressFn = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


def compare_ap(
    checkpoint: PredictFn,
    engine: PredictFn,
    validation: EvalSplit,
    classes: Sequence[str],
    max_ap_drop: float,
    progress: ProgressFn,
    batch_size: int = 1,
) -> AccuracyReport:
    """Measure both APs; each image is read once.

    Args:
        checkpoint: inference with the checkpoint in mmdet, with a score threshold of 0.
        engine: inference with the engine, with the same threshold.
        validation: the images and their annotations.
        classes: name of each label.
        max_ap_drop: for the report; it is not applied here.
        progress: opens a progress bar.
        batch_size: number of images in one call.

    Raises:
        DataError: an image cannot be read, or there are no annotations.
    """
    metrics = [_metric(validation, classes) for _ in range(2)]
    records = validation.records
    with progress("evaluating both", len(records)) as advance:
        for start in range(0, len(records), batch_size):
            chunk = records[start:start + batch_size]
            images = [record.read() for record in chunk]
            for predict, metric in zip((checkpoint, engine), metrics):
                _update_metric(metric, chunk, predict(images))
            for _ in chunk:
                advance()
    average_precisions = [_ap(metric, validation) for metric in metrics]
    return AccuracyReport(average_precisions[0], average_precisions[1], len(records),
                          str(validation.annotation_file), max_ap_drop)


def measure_ap(predict: PredictFn, validation: EvalSplit, classes: Sequence[str],
               progress: ProgressFn) -> float:
    """COCO AP, from 0 to 1, of a predictor with a score threshold of 0.

    Raises:
        DataError: an image cannot be read, or there are no annotations.
    """
    metric = _metric(validation, classes)
    with progress("evaluating", len(validation.records)) as advance:
        for record in validation.records:
            _update_metric(metric, [record], predict([record.read()]))
            advance()
    return _ap(metric, validation)


def _metric(validation: EvalSplit, classes: Sequence[str]) -> CocoBBoxMetric:
    metric = CocoBBoxMetric(str(validation.annotation_file))
    metric.dataset_meta = {"classes": tuple(classes)}
    return metric


def _update_metric(metric: CocoBBoxMetric, records: Sequence[ImageRecord],
                   detections: Sequence[Detections]) -> None:
    for record, item in zip(records, detections):
        metric.process(None, [_as_sample(record.image_id, item)])


def _ap(metric: CocoBBoxMetric, validation: EvalSplit) -> float:
    average_precision = float(metric.evaluate(len(validation.records))["coco/bbox_mAP"])
    if math.isnan(average_precision):
        raise DataError(f"{validation.annotation_file}: has no bounding boxes to evaluate with",
                        hint="name other data by --data")
    return average_precision


def _as_sample(image_id: Any, detections: Detections) -> dict[str, Any]:
    return {"img_id": image_id, "pred_instances": {
        "bboxes": torch.from_numpy(np.array(detections.boxes_xyxy)),
        "scores": torch.from_numpy(np.array(detections.scores)),
        "labels": torch.from_numpy(np.array(detections.labels)),
    }}
