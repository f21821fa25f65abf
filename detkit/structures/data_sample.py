"""One picture of a classifier's batch: the class that it is given, the scores that it gets."""

from __future__ import annotations

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor


class DataSample(BaseDataElement):  # type: ignore[misc]  # mmengine has no types
    """What travels beside a picture through pipeline, model and metric. K: the model's classes.

    A new one has neither field: ``"gt_label" in sample`` tells. Metainfo, as far as it is known:
    ``img_path``, ``ori_shape`` (height and width in pixels of the picture as it lies on disk) and
    ``sample_idx``, its place in the dataset.

    Attributes:
        gt_label: 0-d int64, index into the classes, from 0; an int or any integer tensor of one
            value may be given.
        pred_scores: (K,) float32, probabilities that sum to 1; any floating tensor may be given.

    Raises:
        ValueError: a field is given something of another shape or kind.
    """

    @property
    def gt_label(self) -> Tensor:
        """The class that the data gives."""
        label: Tensor = self._gt_label
        return label

    @gt_label.setter
    def gt_label(self, value: int | Tensor) -> None:
        label = torch.as_tensor(value)
        if label.numel() != 1 or label.dtype == torch.bool or label.is_floating_point():
            raise ValueError(f"gt_label: got {value!r}, expected one whole number")
        self.set_field(label.reshape(()).long(), "_gt_label", dtype=Tensor)

    @gt_label.deleter
    def gt_label(self) -> None:
        del self._gt_label

    @property
    def pred_scores(self) -> Tensor:
        """The probability of each class."""
        scores: Tensor = self._pred_scores
        return scores

    @pred_scores.setter
    def pred_scores(self, value: Tensor) -> None:
        if not isinstance(value, Tensor) or value.ndim != 1 or not value.is_floating_point():
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"pred_scores: got {got}, expected floats (K,)")
        self.set_field(value.float(), "_pred_scores", dtype=Tensor)

    @pred_scores.deleter
    def pred_scores(self) -> None:
        del self._pred_scores
