"""The gate: an engine and the checkpoint it was made of, measured on the same pictures."""

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
# A progress bar over so many things: entered, it gives what to call after each.
ProgressFn = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


def compare_ap(
    checkpoint: PredictFn,
    engine: PredictFn,
    validation: EvalSplit,
    classes: Sequence[str],
    max_ap_drop: float,
    progress: ProgressFn,
    batch: int = 1,
) -> AccuracyReport:
    """Both APs on the same pictures, each read once.

    Args:
        checkpoint: the checkpoint in mmdet's own hands; answers with everything it finds.
        engine: the same for the engine.
        validation: the pictures.
        classes: name of each label.
        max_ap_drop: for the figures; nothing is decided here.
        progress: shows how far it is.
        batch: pictures in a call.

    Raises:
        DataError: a picture cannot be read, or there is nothing to measure.
    """
    metrics = [_metric(validation, classes) for _ in range(2)]
    records = validation.records
    with progress("measuring both", len(records)) as advance:
        for start in range(0, len(records), batch):
            chunk = records[start:start + batch]
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
    """COCO AP, from 0 to 1, of a look that answers with everything it finds.

    Raises:
        DataError: a picture cannot be read, or there is nothing to measure.
    """
    metric = _metric(validation, classes)
    with progress("measuring", len(validation.records)) as advance:
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
        raise DataError(f"{validation.annotation_file}: has no box to measure an engine by",
                        hint="name other data by --data")
    return average_precision


def _as_sample(image_id: Any, detections: Detections) -> dict[str, Any]:
    return {"img_id": image_id, "pred_instances": {
        "bboxes": torch.from_numpy(np.array(detections.boxes_xyxy)),
        "scores": torch.from_numpy(np.array(detections.scores)),
        "labels": torch.from_numpy(np.array(detections.labels)),
    }}
