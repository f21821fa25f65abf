"""The COCO box metric of mmengine's evaluation loops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from detkit.evaluation.detection.coco_eval import evaluate_boxes, match_categories
from detkit.evaluation.detection.coco_stats import CocoStats
from detkit.evaluation.detection.ground_truth import read_ground_truth
from detkit.evaluation.detection.json_values import Id
from detkit.evaluation.tensors import to_numpy
from detkit.files import atomic_replace
from detkit.registry import METRICS
from detkit.text import list_names

# MMDetection's names of the twelve numbers.
METRIC_KEYS = {
    "AP": "bbox_mAP",
    "AP50": "bbox_mAP_50",
    "AP75": "bbox_mAP_75",
    "APs": "bbox_mAP_s",
    "APm": "bbox_mAP_m",
    "APl": "bbox_mAP_l",
    "AR1": "bbox_AR@1",
    "AR10": "bbox_AR@10",
    "AR100": "bbox_AR@100",
    "ARs": "bbox_AR_s",
    "ARm": "bbox_AR_m",
    "ARl": "bbox_AR_l",
}
PREDICTION_FIELDS = ("bboxes", "scores", "labels")


@METRICS.register_module()
class CocoBBoxMetric(BaseMetric):  # type: ignore[misc]
    """COCO box scores, unrounded, as ``coco/bbox_mAP`` and so on.

    Categories are matched to the model's classes by name, and only those classes are evaluated.
    A number that cannot be measured is nan. After ``evaluate``, ``scores`` is the last
    ``CocoStats`` (None before, and on all but the main process).

    Args:
        ann_file: COCO annotation file of the split. It is read by the constructor, so that an
            error in it ends the run before training starts.
        outfile_prefix: each evaluation writes the predictions to the COCO results file
            PREFIX.bbox.json; None for no file.
        classwise: add ``<class>_precision``, the AP of each class.
        collect_device: device on which predictions of all processes are gathered: 'cpu', 'gpu'.
        prefix: prefix of the keys; None for 'coco'.
        collect_dir: folder for gathering through files; None for a temporary one.

    Raises:
        DataError: ``ann_file`` is not a COCO annotation file; or, once the classes are set, a
            class is not one of its categories.
    """

    default_prefix = "coco"

    def __init__(
        self,
        ann_file: str,
        outfile_prefix: str | None = None,
        classwise: bool = False,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.ground_truth = read_ground_truth(ann_file)
        self.outfile_prefix = outfile_prefix
        self.classwise = classwise
        self.scores: CocoStats | None = None
        self._category_ids: list[Id] | None = None

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Metainfo of the dataset; ``classes`` are the class names by label."""
        meta: dict[str, Any] | None = self._dataset_meta
        return meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta
        classes = (dataset_meta or {}).get("classes")
        if classes is None:
            return
        ids = {index: category_id for category_id, index in self.ground_truth.categories.items()}
        self._category_ids = [ids[index] for index in match_categories(self.ground_truth, classes)]
        listed = [name for name in self.ground_truth.file_order if name in classes]
        if listed != list(classes):
            MMLogger.get_current_instance().warning(
                f"{self.ground_truth.name}: the categories have the order {', '.join(listed)}, "
                f"the model's classes the order {', '.join(classes)}; mmdet's CocoDataset numbers "
                "labels in the order of the file, so predictions would count for the wrong class; "
                "give the classes in the order of the file")

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Store the predictions of a batch.

        Args:
            data_batch: not used.
            data_samples: one dict per image with ``img_id`` and ``pred_instances``: ``bboxes``
                (N, 4) xyxy in pixels of the image file, ``scores`` (N,), ``labels`` (N,)
                integer. N may be 0.
        """
        for sample in data_samples:
            pred_instances = sample["pred_instances"]
            arrays = {key: to_numpy(pred_instances[key]) for key in PREDICTION_FIELDS}
            self.results.append({"img_id": sample["img_id"], **arrays})

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The scores of the predictions of all processes; each image has an entry."""
        logger = MMLogger.get_current_instance()
        detections = self._to_coco_results(results)
        if self.outfile_prefix is not None:
            _write_results(Path(f"{self.outfile_prefix}.bbox.json"), detections)
        num_missing = len(self.ground_truth.images) - len({result["img_id"] for result in results})
        if num_missing > 0:
            logger.warning(
                f"{self.ground_truth.name}: no predictions for {num_missing} of "
                f"{len(self.ground_truth.images)} images; their objects count as missed")
        classes = (self.dataset_meta or {})["classes"]
        unmeasured = sorted(set(self.ground_truth.class_names) - set(classes))
        if unmeasured:
            logger.warning(
                f"{self.ground_truth.name}: categories that are not classes of the model are not "
                f"evaluated: {list_names(unmeasured, 10)}")
        scores = evaluate_boxes(self.ground_truth, detections, classes, name="predictions")
        for note in scores.notes:
            logger.warning(f"{self.ground_truth.name}: {note}")
        self.scores = scores
        metrics = {METRIC_KEYS[name]: getattr(scores, name) for name in METRIC_KEYS}
        if self.classwise:
            class_ap = {item.name: item.AP for item in scores.per_class}
            metrics.update({f"{name}_precision": class_ap[name] for name in classes})
        return metrics

    def _to_coco_results(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self._category_ids is None:
            raise RuntimeError(
                "CocoBBoxMetric: dataset_meta with 'classes' must be set before evaluation")
        detections = []
        for result in results:
            # In float64 as in mmdet's metric, to give the same numbers.
            boxes = np.asarray(result["bboxes"], np.float64).reshape(-1, 4)
            boxes[:, 2:] -= boxes[:, :2]
            for box, score, label in zip(boxes.tolist(), result["scores"], result["labels"]):
                detections.append({
                    "image_id": result["img_id"], "category_id": self._category_ids[int(label)],
                    "bbox": box, "score": float(score),
                })
        return detections


def _write_results(path: Path, detections: list[dict[str, Any]]) -> None:
    """Write a results file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_replace(path) as file:
        json.dump(detections, file)
