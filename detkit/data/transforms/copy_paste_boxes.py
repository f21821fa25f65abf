"""Copy-paste for data with boxes and without masks: objects are pasted as rectangles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type
from numpy.typing import NDArray

from detkit.errors import ConfigError
from detkit.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CopyPasteBoxes(BaseTransform):  # type: ignore[misc]
    """Paste objects of another image of the dataset, each with the pixels inside of its box.

    A random number of objects of the other image, at most ``max_num_pasted``, is scaled by one
    factor of ``ratio_range``, flipped with probability ``flip_prob``, and pasted at random places,
    one over the other. An object that does not fit into the image is not pasted. A box that is
    partly covered shrinks to its visible pixels; it is removed with less than ``min_visible`` of
    its area visible. Boxes to ignore (crowds) are neither pasted nor changed.

    A step of a MultiImageMixDataset. The pixels keep their type.

    Args:
        max_num_pasted: at most so many objects are pasted.
        ratio_range: of the scale of the pasted objects.
        flip_prob: of a horizontal flip of the pasted objects.
        min_visible: fraction of the area of a box, 0..1; 0 removes covered boxes only.
        prob: of pasting at all.

    Raises:
        ConfigError: an argument is out of its range.

    Source: Simple Copy-Paste (arXiv 2012.07177), section 3: a random subset of objects, scale
    jitter, flip, covered objects removed, boxes of partly covered ones updated. It pastes masks,
    at their places in the scaled image; its published code removes objects of less than 300
    visible pixels whose box changes by more than 10, at 1024 x 1024.
    """

    def __init__(
        self,
        max_num_pasted: int = 10,
        ratio_range: Sequence[float] = (0.75, 1.25),
        flip_prob: float = 0.5,
        min_visible: float = 0.3,
        prob: float = 1.0,
    ) -> None:
        if not isinstance(max_num_pasted, int) or max_num_pasted < 1:
            raise ConfigError("CopyPasteBoxes: max_num_pasted", got=repr(max_num_pasted),
                              expected="an integer of at least 1")
        if len(ratio_range) != 2 or not 0 < ratio_range[0] <= ratio_range[1] < math.inf:
            raise ConfigError("CopyPasteBoxes: ratio_range", got=tuple(ratio_range),
                              expected="two numbers, 0 < smallest <= largest")
        for name, value in (("flip_prob", flip_prob), ("min_visible", min_visible), ("prob", prob)):
            if not 0 <= value <= 1:
                raise ConfigError(f"CopyPasteBoxes: {name}", got=value, expected="0 to 1")
        self.max_num_pasted = max_num_pasted
        self.ratio_range = ratio_range[0], ratio_range[1]
        self.flip_prob = flip_prob
        self.min_visible = min_visible
        self.prob = prob

    def get_indexes(self, dataset: Any) -> int:
        """Return the index of the other image, for MultiImageMixDataset."""
        return int(np.random.randint(len(dataset)))

    @autocast_box_type()  # type: ignore[untyped-decorator]
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Paste objects of ``results['mix_results'][0]`` into ``results``."""
        if "mix_results" not in results:
            raise ConfigError("CopyPasteBoxes has no second image",
                              hint="put it into the pipeline of a MultiImageMixDataset")
        if "gt_masks" in results:
            raise ConfigError("CopyPasteBoxes keeps no instance masks", got="gt_masks",
                              hint="use CopyPaste, or LoadAnnotations without with_mask")
        source = results["mix_results"][0]
        if np.random.random() >= self.prob:
            return results
        candidates = np.flatnonzero(~source["gt_ignore_flags"])
        most = min(len(candidates), self.max_num_pasted)
        if most == 0:
            return results
        chosen = np.random.choice(candidates, np.random.randint(1, most + 1), replace=False)
        ratio = np.random.uniform(*self.ratio_range)
        flip = np.random.random() < self.flip_prob
        image = results["img"].copy()
        height, width = image.shape[:2]
        # Which object's pixels are visible: 0 for those of the image itself.
        owner = np.zeros((height, width), np.int32)
        boxes = [results["gt_bboxes"].tensor.numpy()]
        labels = [results["gt_bboxes_labels"]]
        for index in chosen:
            patch = _crop(source["img"], source["gt_bboxes"].tensor[int(index)].numpy(), ratio)
            if patch is None or patch.shape[0] > height or patch.shape[1] > width:
                continue
            top = np.random.randint(height - patch.shape[0] + 1)
            left = np.random.randint(width - patch.shape[1] + 1)
            bottom, right = top + patch.shape[0], left + patch.shape[1]
            image[top:bottom, left:right] = patch[:, ::-1] if flip else patch
            owner[top:bottom, left:right] = len(boxes)
            boxes.append(np.array([[left, top, right, bottom]], np.float32))
            labels.append(source["gt_bboxes_labels"][index:index + 1])
        owners = np.repeat(range(len(boxes)), [len(part) for part in boxes])
        ignored = np.zeros(len(owners), bool)
        ignored[:len(boxes[0])] = results["gt_ignore_flags"]
        visible, fraction = _visible_boxes(np.concatenate(boxes), owners, owner, ignored)
        kept = ignored | (fraction >= self.min_visible) & (fraction > 0)
        results["img"] = image
        results["gt_bboxes"] = HorizontalBoxes(visible[kept])
        results["gt_bboxes_labels"] = np.concatenate(labels)[kept]
        results["gt_ignore_flags"] = ignored[kept]
        return results

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(max_num_pasted={self.max_num_pasted}, "
                f"ratio_range={self.ratio_range}, flip_prob={self.flip_prob}, "
                f"min_visible={self.min_visible}, prob={self.prob})")


def _crop(image: NDArray[Any], box: NDArray[np.float32], ratio: float) -> NDArray[Any] | None:
    """The pixels inside of ``box``, whole ones, scaled by ``ratio``; None if there is none."""
    height, width = image.shape[:2]
    left, top = max(0, round(float(box[0]))), max(0, round(float(box[1])))
    right, bottom = min(width, round(float(box[2]))), min(height, round(float(box[3])))
    size = round((right - left) * ratio), round((bottom - top) * ratio)
    if min(right - left, bottom - top, *size) < 1:
        return None
    patch: NDArray[Any] = cv2.resize(image[top:bottom, left:right], size)
    return patch


def _visible_boxes(
    boxes: NDArray[np.float32], owners: NDArray[Any], owner: NDArray[np.int32],
    unchanged: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(N, 4) boxes around the visible pixels, and (N,) fractions of the pixels that are visible.

    A side of a box moves only where pixels at it are covered. Boxes without a pixel have 0.
    """
    boxes, fractions = boxes.copy(), np.zeros(len(boxes))
    height, width = owner.shape
    for index, (box, number) in enumerate(zip(boxes, owners)):
        left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
        right, bottom = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
        if left >= right or top >= bottom:
            continue
        shown = owner[top:bottom, left:right] == number
        fractions[index] = shown.mean()
        if unchanged[index] or shown.all() or not shown.any():
            continue
        rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        box[0] = max(box[0], left + columns[0])
        box[1] = max(box[1], top + rows[0])
        box[2] = min(box[2], left + columns[-1] + 1)
        box[3] = min(box[3], top + rows[-1] + 1)
    return boxes, fractions
