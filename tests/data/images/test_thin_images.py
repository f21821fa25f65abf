"""Images so thin that a resize would reduce a side to zero."""

import json

import mmcv
import numpy as np
import pytest
from mmengine.config import Config
from small_sets import coco, draw, write_json

from detkit.config.data.dataset_check import get_resize_steps_by_split
from detkit.data.detection.annotation_check import check_coco
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.images.thin_images import ResizeStep, resize_steps
from detkit.data.report.ledger import Ledger

SIZES = [(1, 1), (4000, 2), (2, 3000), (900, 5), (641, 1), (1, 640), (640, 1), (320, 240)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("scale", [(320, 320), (800, 1333), (64, 64)], ids=str)
def test_output_size_equals_mmcv_rescale_size(size, scale):
    output_wh = ResizeStep("Resize", (max(scale), min(scale))).output_wh(*size)
    assert output_wh == mmcv.rescale_size(size, scale)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    if min(output_wh) < 1:
        with pytest.raises(Exception, match="inv_scale_x > 0|!dsize.empty"):
            mmcv.imrescale(image, scale)
    else:
        assert mmcv.imrescale(image, scale).shape[1::-1] == output_wh


STEPS = {
    "nothing": ([], []),
    "resize": ([dict(type="Resize", scale=(1333, 800), keep_ratio=True)], [(1333, 800)]),
    "one number": ([dict(type="mmdet.Resize", scale=640, keep_ratio=True)], [(640, 640)]),
    "proportions not kept": ([dict(type="Resize", scale=(320, 320))], []),
    "ratio range": ([dict(type="RandomResize", scale=(512, 512), ratio_range=(0.1, 2.0),
                          keep_ratio=True)], [(51, 51)]),
    "two sizes": ([dict(type="RandomResize", scale=[(1333, 640), (1333, 800)], keep_ratio=True)],
                  [(1333, 640)]),
    "choice": ([dict(type="RandomChoiceResize", scales=[(480, 1333), (512, 1333)],
                     keep_ratio=True)], [(1333, 480), (1333, 512)]),
    "shortest edge": ([dict(type="ResizeShortestEdge", scale=(640, 700), max_size=1333)],
                      [(1333, 640)]),
    "shortest edge without limit": ([dict(type="ResizeShortestEdge", scale=640)],
                                    [(float("inf"), 640)]),
    "inside a choice": ([dict(type="RandomChoice", transforms=[
        [dict(type="Resize", scale=(100, 50), keep_ratio=True)], [dict(type="RandomFlip")]])],
        [(100, 50)]),
    "canvas of a mosaic": ([dict(type="Mosaic", img_scale=(320, 240)), dict(type="CachedMixUp")],
                           [(240, 240), (640, 640)]),
    "no sizes": ([dict(type="Resize", scale="big", keep_ratio=True), "Resize", 3,
                  dict(type="Resize", scale=(1, 2, 3), keep_ratio=True)], []),
}


@pytest.mark.parametrize("pipeline, scales", STEPS.values(), ids=STEPS.keys())
def test_the_smallest_size_of_each_step_counts(pipeline, scales):
    assert [step.scale for step in resize_steps(pipeline)] == scales


def test_a_configs_pipelines_are_read_for_each_split(repository):
    cfg = Config.fromfile(repository / "configs" / "cascade_efficientnet_nano.py")
    steps = get_resize_steps_by_split(cfg)
    # coco_320.py: trained at 320 times 0.75 to 1.5, measured at 320
    assert {step.scale for step in steps["train"]} == {(240, 240)}
    assert {step.scale for step in steps["val"]} == {(320, 320)} and steps["val"] == steps["test"]


def thin_set(root):
    for seed, split in enumerate(("train", "val")):
        names = [f"{split}{i}.png" for i in range(3)]
        ground_truth = coco(names, [(i, i % 2, [0, 0, 9, 1]) for i in range(3)])
        for i, (name, size) in enumerate(zip(names, [(64, 48), (64, 48), (700, 1)])):
            draw(root / split / name, size_wh=size, seed=3 * seed + i)
            ground_truth["images"][i].update(width=size[0], height=size[1])
        write_json(root / "annotations" / f"{split}.json", ground_truth)
    return root


def test_a_thin_image_is_left_out_of_the_splits_that_would_resize_it_to_zero(tmp_path):
    root = thin_set(tmp_path / "set")
    # 700 x 1 at 320 is 0.457 high, at 400 it is 0.571, rounded to 1
    steps = {"train": [ResizeStep("Resize", (320, 320))], "val": [ResizeStep("Resize", (400, 400))],
             "test": [ResizeStep("Resize", (400, 400))]}
    data = load_detection_data(root, tmp_path / "work", resizes=steps)
    assert {name: split.image_count for name, split in data.splits.items()} == {
        "train": 2, "val": 3, "test": 3}
    (issue,) = data.ledger.issues
    assert (issue.code, issue.image, issue.split) == ("thin_image", "train2.png", "train")
    assert "700x1" in issue.message and "320x0" in issue.message
    count = data.ledger.splits["train"]
    assert (count.images_used, count.images_left_out, count.boxes_used, count.boxes_left_out) == (
        2, 1, 2, 1)
    written = json.loads(data.splits["train"].annotation_file.read_text())
    assert [image["file_name"] for image in written["images"]] == ["train0.png", "train1.png"]
    assert [box["image_id"] for box in written["annotations"]] == [1, 2]


def test_fallback_split_is_reported_once(tmp_path):
    steps = [ResizeStep("Resize", (320, 320))]
    data = load_detection_data(thin_set(tmp_path / "set"), tmp_path / "work",
                               resizes={"train": steps, "val": steps, "test": steps})
    assert [issue.split for issue in data.ledger.issues] == ["train", "val"]
    assert data.splits["val"].image_count == data.splits["test"].image_count == 2


def test_in_a_file_that_the_config_names_a_thin_image_is_an_error(tmp_path):
    root = thin_set(tmp_path / "set")
    file, images = root / "annotations" / "train.json", root / "train"
    assert check_coco(file, images).issues == []
    ledger = check_coco(file, images, resizes=[ResizeStep("Resize", (320, 320))])
    assert [issue.image for issue in ledger.errors] == ["train2.png"]
    assert isinstance(ledger, Ledger)


def test_the_brought_images_are_left_out_at_320_pixels(shared_cases, tmp_path):
    steps = [ResizeStep("Resize", (320, 320))]
    data = load_detection_data(shared_cases / "data" / "thin_pictures", tmp_path,
                               resizes={"train": steps, "val": steps, "test": steps})
    # 4000x2 and 2x3000 of either split; 900x5 becomes 320x2, and 1x1 is enlarged
    assert sorted(issue.image for issue in data.ledger.filter_by_code("thin_image")) == [
        "train_thin0.png", "train_thin1.png", "val_thin0.png", "val_thin1.png"]
    assert {name: split.image_count for name, split in data.splits.items()} == {
        "train": 6, "val": 5, "test": 5}
