"""Objects of another image are pasted as rectangles, and boxes under them shrink or go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from painted_boxes import blood_cells, make_results

from detkit.data.transforms.copy_paste_boxes import CopyPasteBoxes
from detkit.errors import ConfigError


def paste(target: dict[str, Any], source: dict[str, Any], seed: int = 0, **args: Any) -> Any:
    np.random.seed(seed)
    options = dict(ratio_range=(1.0, 1.0), flip_prob=0.0, **args)
    return CopyPasteBoxes(**options)({**target, "mix_results": [source]})


def gray(height: int, width: int, value: int, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return make_results(np.full((height, width, 3), value, np.uint8), *args, **kwargs)


def test_boxes_under_a_pasted_object_by_hand():
    """An object as wide as the image and half as high lands at one of six heights."""
    tops = set()
    for seed in range(40):
        target = gray(10, 10, 0, [[0.5, 0.25, 9.5, 9.75]], [7])
        result = paste(target, gray(10, 10, 200, [[0, 2, 10, 7]], [3]), seed)
        old, new = result["gt_bboxes"].tensor.tolist()
        top = int(new[1])
        tops.add(top)
        assert new == [0, top, 10, top + 5] and result["gt_bboxes_labels"].tolist() == [7, 3]
        # What is left below, above, or on both sides.
        expected = {0: [0.5, 5, 9.5, 9.75], 5: [0.5, 0.25, 9.5, 5]}
        assert old == expected.get(top, [0.5, 0.25, 9.5, 9.75])
        assert (result["img"][top:top + 5] == 200).all() and result["img"].sum() == 200 * 150
        assert (target["img"] == 0).all()
    assert tops == set(range(6))


@pytest.mark.parametrize(("source_box", "min_visible", "labels"), [
    ([0, 0, 10, 10], 0.0, [3]), ([0, 0, 10, 5], 0.6, [3]), ([0, 0, 10, 5], 0.5, [7, 3]),
], ids=["covered", "half, below the limit", "half, at the limit"])
def test_covered_boxes_are_removed(source_box, min_visible, labels):
    target = gray(10, 10, 0, [[0, 0, 10, 10]], [7])
    result = paste(target, gray(10, 10, 1, [source_box], [3]), min_visible=min_visible)
    assert result["gt_bboxes_labels"].tolist() == labels


def test_crowds_are_neither_pasted_nor_changed():
    target = gray(10, 10, 0, [[0, 0, 10, 10]], [7], [True])
    assert len(paste(target, gray(10, 10, 1, [[0, 0, 5, 5]], [3], [True]))["gt_bboxes"]) == 1
    result = paste(target, gray(10, 10, 1, [[0, 0, 10, 10]], [3]))
    assert result["gt_ignore_flags"].tolist() == [True, False]
    assert result["gt_bboxes"].tensor.tolist() == [[0, 0, 10, 10]] * 2


def test_nothing_to_paste_leaves_the_image():
    target = gray(10, 10, 0, [[0, 0, 10, 10]], [7])
    for source in (gray(10, 10, 1), gray(30, 30, 1, [[0, 0, 30, 30]])):
        result = paste(target, source)
        assert result["gt_bboxes_labels"].tolist() == [7] and not result["img"].any()
    result = paste(target, gray(10, 10, 1, [[0, 0, 5, 5]]), prob=0.0)
    assert result["gt_bboxes_labels"].tolist() == [7]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pasted_cells_are_the_pixels_of_their_boxes(shared_data, dtype):
    target, source = blood_cells(shared_data, 1), blood_cells(shared_data, 50)
    for results in (target, source):
        results["img"] = results["img"].astype(dtype)
    for seed in range(5):
        result = paste(target, source, seed, max_num_pasted=1, min_visible=0.0)
        label, box = result["gt_bboxes_labels"][-1], result["gt_bboxes"].tensor[-1].int().tolist()
        pixels = result["img"][box[1]:box[3], box[0]:box[2]]
        assert result["img"].dtype == dtype
        sources = source["gt_bboxes"].tensor.int().tolist()
        assert any(np.array_equal(pixels, source["img"][y1:y2, x1:x2]) and label == other
                   for (x1, y1, x2, y2), other in zip(sources, source["gt_bboxes_labels"]))


@pytest.mark.parametrize(("args", "message"), [
    (dict(max_num_pasted=0), "max_num_pasted: got 0"), (dict(ratio_range=(2, 1)), "ratio_range"),
    (dict(prob=1.5), "prob: got 1.5"), (dict(min_visible=-1), "min_visible: got -1"),
], ids=["none", "ratios", "prob", "visible"])
def test_argument_out_of_range_is_rejected(args, message):
    with pytest.raises(ConfigError, match=f"CopyPasteBoxes: {message}"):
        CopyPasteBoxes(**args)
    with pytest.raises(ConfigError, match="MultiImageMixDataset"):
        CopyPasteBoxes()(gray(4, 4, 0))


def test_masks_are_not_given_to_other_objects():
    target = {**gray(10, 10, 0, [[0, 0, 9, 9]], [7]), "gt_masks": "of one object"}
    with pytest.raises(ConfigError, match="keeps no instance masks.*use CopyPaste"):
        paste(target, gray(10, 10, 200, [[0, 2, 10, 7]], [3]))
