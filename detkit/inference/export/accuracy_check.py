"""The gate: an engine and the checkpoint it was made of, measured on the same pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from detkit.errors import DataError
from detkit.evaluation.detection.coco_metric import BoxAP
from detkit.inference.export.eval_split import Picture, Pictures
from detkit.inference.export.manifest import Figures
from detkit.structures.detections import Detections

Look = Callable[[Sequence[Any]], list[Detections]]
# A progress bar over so many things: entered, it gives what to call after each.
Watch = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


def compare(
    checkpoint: Look,
    engine: Look,
    validation: Pictures,
    classes: Sequence[str],
    max_ap_drop: float,
    watch: Watch,
    batch: int = 1,
) -> Figures:
    """Both APs on the same pictures, each read once.

    Args:
        checkpoint: the checkpoint in mmdet's own hands; answers with everything it finds.
        engine: the same for the engine.
        validation: the pictures.
        classes: name of each label.
        max_ap_drop: for the figures; nothing is decided here.
        watch: shows how far it is.
        batch: pictures in a call.

    Raises:
        DataError: a picture cannot be read, or there is nothing to measure.
    """
    metrics = [_metric(validation, classes) for _ in range(2)]
    pictures = validation.pictures
    with watch("measuring both", len(pictures)) as advance:
        for begin in range(0, len(pictures), batch):
            part = pictures[begin:begin + batch]
            images = [picture.read() for picture in part]
            for look, metric in zip((checkpoint, engine), metrics):
                _take_down(metric, part, look(images))
            for _ in part:
                advance()
    aps = [_ap(metric, validation) for metric in metrics]
    return Figures(aps[0], aps[1], len(pictures), str(validation.annotation_file), max_ap_drop)


def measure_ap(look: Look, validation: Pictures, classes: Sequence[str], watch: Watch) -> float:
    """COCO AP, from 0 to 1, of a look that answers with everything it finds.

    Raises:
        DataError: a picture cannot be read, or there is nothing to measure.
    """
    metric = _metric(validation, classes)
    with watch("measuring", len(validation.pictures)) as advance:
        for picture in validation.pictures:
            _take_down(metric, [picture], look([picture.read()]))
            advance()
    return _ap(metric, validation)


def _metric(validation: Pictures, classes: Sequence[str]) -> BoxAP:
    metric = BoxAP(str(validation.annotation_file))
    metric.dataset_meta = {"classes": tuple(classes)}
    return metric


def _take_down(metric: BoxAP, pictures: Sequence[Picture], found: Sequence[Detections]) -> None:
    for picture, one in zip(pictures, found):
        metric.process(None, [_as_sample(picture.image_id, one)])


def _ap(metric: BoxAP, validation: Pictures) -> float:
    ap = float(metric.evaluate(len(validation.pictures))["coco/bbox_mAP"])
    if math.isnan(ap):
        raise DataError(f"{validation.annotation_file}: has no box to measure an engine by",
                        do="name other data by --data")
    return ap


def _as_sample(image_id: Any, found: Detections) -> dict[str, Any]:
    return {"img_id": image_id, "pred_instances": {
        "bboxes": torch.from_numpy(np.array(found.boxes_xyxy)),
        "scores": torch.from_numpy(np.array(found.scores)),
        "labels": torch.from_numpy(np.array(found.labels)),
    }}
