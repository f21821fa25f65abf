"""The data sample of a classifier: annotation and prediction of one image."""

from __future__ import annotations

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor


class DataSample(BaseDataElement):  # type: ignore[misc]  # mmengine has no types
    """Annotation, prediction and metainfo of one image, as mmpretrain's. K: number of classes.

    A field is absent until it is set; test with ``"gt_label" in sample``. Metainfo, where known:
    ``img_path``, ``ori_shape`` (height and width in pixels of the image file) and ``sample_idx``,
    the index in the dataset.

    Attributes:
        gt_label: 0-d int64, index into the classes, from 0; can be set to an int or to an
            integer tensor with one element.
        pred_scores: (K,) float32, probabilities with a sum of 1; can be set to any
            floating-point tensor.

    Raises:
        ValueError: a field is set to a value of another shape or type.
    """

    @property
    def gt_label(self) -> Tensor:
        """The annotated class."""
        label: Tensor = self._gt_label
        return label

    @gt_label.setter
    def gt_label(self, value: int | Tensor) -> None:
        label = torch.as_tensor(value)
        if label.numel() != 1 or label.dtype == torch.bool or label.is_floating_point():
            raise ValueError(f"gt_label: got {value!r}, expected one integer")
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
            raise ValueError(f"pred_scores: got {got}, expected a floating-point tensor (K,)")
        self.set_field(value.float(), "_pred_scores", dtype=Tensor)

    @pred_scores.deleter
    def pred_scores(self) -> None:
        del self._pred_scores
