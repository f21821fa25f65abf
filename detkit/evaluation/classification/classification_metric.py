"""The metric of classifiers in mmengine's evaluation loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from detkit.errors import ConfigError, DataError, WeightsError
from detkit.evaluation.classification.classification_scores import ClassificationScores
from detkit.evaluation.tensors import to_numpy
from detkit.registry import METRICS
from detkit.text import list_names

# Of one image: ground-truth label, predicted label, rank of the ground-truth label (0 is first),
# and number of classes.
Outcome = tuple[int, int, int, int]


@METRICS.register_module()
class ClassificationMetric(BaseMetric):  # type: ignore[misc]
    """Top-k accuracy, precision, recall, F1 and balanced accuracy, as ``cls/top1`` and so on.

    All are from 0 to 1, unrounded; ``ClassificationScores`` defines each and when it is nan. Of
    equal scores the lower label ranks first, so a constant model predicts class 0. Four integers
    are stored per image, not its scores. After ``evaluate``, ``scores`` is the last
    ``ClassificationScores`` (None before, and on all but the main process).

    Args:
        topk: the k of ``cls/topK``; values above the number of classes are ignored.
        collect_device: device on which results of all processes are gathered: 'cpu' or 'gpu'.
        prefix: prefix of the keys; None for 'cls'.
        collect_dir: folder for gathering through files; None for a temporary one.

    Raises:
        ConfigError: a k is not a positive integer, or model and data have different numbers of
            classes.
        DataError: there is no image, or an image has no label or an invalid one.
        WeightsError: the model's scores contain nan or infinity.
    """

    default_prefix = "cls"

    def __init__(
        self,
        topk: int | Sequence[int] = (1, 5),
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        ks = (topk,) if isinstance(topk, int) else tuple(topk)
        if not ks or any(type(k) is not int or k < 1 for k in ks):
            raise ConfigError("ClassificationMetric: topk", got=repr(topk),
                              expected="positive integers, such as (1, 5)")
        self.topk = tuple(sorted(set(ks)))
        self.scores: ClassificationScores | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Store the results of a batch.

        Args:
            data_batch: not used.
            data_samples: one dict per image with ``gt_label``, an integer or a tensor of one, and
                ``pred_scores`` (K,), floating-point; the highest is the prediction.
        """
        for sample in data_samples:
            self.results.append(_score_sample(sample))

    def compute_metrics(self, results: list[Outcome]) -> dict[str, float]:
        """The scores of the images of all processes."""
        if not results:
            raise DataError("ClassificationMetric: no images were classified",
                            hint="use a dataset with at least one image")
        outcomes = np.asarray(results, dtype=np.int64)
        count = int(outcomes[0, 3])
        classes = self._class_names(count)
        if (outcomes[:, 3] != count).any():
            raise DataError("ClassificationMetric: images have different numbers of scores",
                            got=sorted(set(outcomes[:, 3].tolist())))
        confusion = np.bincount(outcomes[:, 0] * count + outcomes[:, 1], minlength=count * count)
        self.scores = ClassificationScores(
            classes, confusion.reshape(count, count),
            {k: float((outcomes[:, 2] < k).mean()) for k in self.topk if k <= count})
        absent = [row.name for row in self.scores.per_class if not row.support]
        if absent:
            MMLogger.get_current_instance().warning(
                f"{len(absent)} of {count} classes have no images and are excluded from recall "
                f"and balanced accuracy: {list_names(absent, 10)}")
        return self.scores.stats

    def _class_names(self, count: int) -> tuple[str, ...]:
        names = (self.dataset_meta or {}).get("classes")
        if names is None:
            return tuple(map(str, range(count)))
        if len(names) != count:
            raise ConfigError("the model and the data have different numbers of classes",
                              got=f"{count} scores per image",
                              expected=f"{len(names)} as in the data",
                              hint="set model.head.num_classes to the number of classes")
        return tuple(names)


def _score_sample(sample: dict[str, Any]) -> Outcome:
    scores = to_numpy(sample["pred_scores"])
    name = sample.get("img_path", f"image {sample.get('sample_idx', '')}")
    if scores.ndim != 1 or not len(scores):
        raise DataError(f"{name}: pred_scores", got=f"shape {scores.shape}", expected="(K,)")
    if not np.isfinite(scores).all():
        raise WeightsError(
            f"{name}: the model's scores contain nan or infinity",
            hint="training has diverged or the checkpoint is damaged: lower the learning rate, or "
            "use an earlier checkpoint")
    if sample.get("gt_label") is None:
        raise DataError(f"{name}: the image has no label", expected="gt_label")
    gt_label = int(to_numpy(sample["gt_label"]).reshape(()))
    if not 0 <= gt_label < len(scores):
        raise DataError(f"{name}: label", got=gt_label, expected=f"0 to {len(scores) - 1}, "
                        f"the labels of the model's {len(scores)} classes")
    gt_score = scores[gt_label]
    rank = int((scores > gt_score).sum() + (scores[:gt_label] == gt_score).sum())
    return gt_label, int(scores.argmax()), rank, len(scores)
