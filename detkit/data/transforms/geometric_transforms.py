"""Geometric transforms of mmdet and mmcv, with boxes that fit what is visible of an object."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import CenterCrop as MMCVCenterCrop
from mmdet.datasets import transforms as mmdet_transforms
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type
from numpy.typing import NDArray

from detkit.data.transforms.select_boxes import remove_thin_boxes, select_boxes
from detkit.registry import TRANSFORMS


def project_boxes(
    boxes: NDArray[np.float32], matrix: NDArray[Any], img_shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the boxes around the visible parts of projected boxes.

    Args:
        boxes: (N, 4) float32, xyxy, pixels before the projection.
        matrix: (3, 3) homography.
        img_shape: (height, width) after it.

    Returns:
        (N, 4) float32, xyxy, pixels after the projection; zeros where nothing is visible.
    """
    height, width = img_shape
    image = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 1, 2)
    projected = np.zeros_like(boxes)
    if len(boxes):
        quads = cv2.perspectiveTransform(corners, matrix.astype(np.float64)).reshape(-1, 4, 2)
        for index, quad in enumerate(quads):
            shape = quad
            if not ((quad >= 0) & (quad <= (width, height))).all():
                area, shape = cv2.intersectConvexConvex(quad, image)
                if area <= 0 or shape is None:
                    continue
                shape = shape.reshape(-1, 2)
            projected[index] = (*shape.min(axis=0), *shape.max(axis=0))
    return projected


class _VisibleBoxesMixin:
    """The box of a moved object surrounds what is visible of it; without a pixel it is removed.

    mmdet clips the box of the whole moved object: that of a corner that is left in the image is up
    to 80 pixels too large, and that of an object outside of it is kept, without area, on the
    border.
    """

    homography_matrix: NDArray[Any]

    def _transform_bboxes(self, results: dict[str, Any], mag: float) -> None:
        boxes = results["gt_bboxes"]
        results["gt_bboxes"] = HorizontalBoxes(
            project_boxes(boxes.numpy(), self.homography_matrix, results["img_shape"]))
        remove_thin_boxes(results)


@TRANSFORMS.register_module()
class Rotate(_VisibleBoxesMixin, mmdet_transforms.Rotate):  # type: ignore[misc]
    """mmdet's `Rotate`, with boxes around what is visible."""


@TRANSFORMS.register_module()
class ShearX(_VisibleBoxesMixin, mmdet_transforms.ShearX):  # type: ignore[misc]
    """mmdet's `ShearX`, with boxes around what is visible."""


@TRANSFORMS.register_module()
class ShearY(_VisibleBoxesMixin, mmdet_transforms.ShearY):  # type: ignore[misc]
    """mmdet's `ShearY`, with boxes around what is visible."""


@TRANSFORMS.register_module()
class TranslateX(_VisibleBoxesMixin, mmdet_transforms.TranslateX):  # type: ignore[misc]
    """mmdet's `TranslateX`, with boxes around what is visible."""


@TRANSFORMS.register_module()
class TranslateY(_VisibleBoxesMixin, mmdet_transforms.TranslateY):  # type: ignore[misc]
    """mmdet's `TranslateY`, with boxes around what is visible."""


@TRANSFORMS.register_module()
class RandomAffine(mmdet_transforms.RandomAffine):  # type: ignore[misc]
    """mmdet's `RandomAffine`, with boxes around what is visible; with ``bbox_clip_border`` only."""

    @autocast_box_type()  # type: ignore[untyped-decorator]
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Warp the image and project its boxes."""
        boxes, labels = results["gt_bboxes"].clone(), results["gt_bboxes_labels"]
        flags = results["gt_ignore_flags"]
        warped: dict[str, Any] = super().transform(results)
        if self.bbox_clip_border and len(boxes):
            projected = project_boxes(boxes.numpy(), self._matrix, warped["img_shape"])
            warped.update(gt_bboxes=HorizontalBoxes(projected), gt_bboxes_labels=labels,
                          gt_ignore_flags=flags)
            remove_thin_boxes(warped)
        return warped

    def _get_random_homography_matrix(self, height: int, width: int) -> NDArray[Any]:
        matrix: NDArray[Any] = super()._get_random_homography_matrix(height, width)
        self._matrix = matrix
        return matrix


@TRANSFORMS.register_module()
class CenterCrop(MMCVCenterCrop):  # type: ignore[misc]
    """mmcv's `CenterCrop`, for boxes as detectors have them; mmcv's fails on each image."""

    def _crop_bboxes(self, results: dict[str, Any], bboxes: NDArray[Any]) -> None:
        if results.get("gt_bboxes") is None:
            return
        boxes = results["gt_bboxes"]
        boxes.translate_((-int(bboxes[0]), -int(bboxes[1])))
        select_boxes(results, boxes.is_inside(results["img_shape"]).numpy())
        if self.clip_object_border:
            results["gt_bboxes"].clip_(results["img_shape"])
            remove_thin_boxes(results)
