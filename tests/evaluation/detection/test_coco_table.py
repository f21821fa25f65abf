"""The tables of COCO scores."""

import re

import pytest

from detkit.evaluation.detection.coco_eval import evaluate_boxes
from detkit.evaluation.detection.coco_stats import STATS
from detkit.evaluation.detection.coco_table import STAT_DESCRIPTIONS, classes_table, scores_table


def scores_of(names, num_detections=1):
    ground_truth = {
        "images": [{"id": 1}],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(names)],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50],
                         "area": 2500, "iscrowd": 0}],
    }
    result = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "score": 1}
    return evaluate_boxes(ground_truth, [result] * num_detections)


@pytest.mark.parametrize("num_detections", [0, 1])
def test_twelve_rows_with_four_digits_or_a_dash(num_detections):
    lines = scores_table(scores_of(["cat"], num_detections)).splitlines()
    detections = ("0 detections", "1 detection")[num_detections]
    assert lines[0] == f"1 image, 1 ground-truth box, {detections}"
    rows = [line.split()[:2] for line in lines[3:]]
    # One object of 50 x 50 pixels, which is medium: nothing small or large to measure.
    digits = f"{num_detections}.0000"
    assert rows == [[name, "-" if name[-1] in "sl" else digits] for name in STATS]


def test_descriptions_match_pycocotools_summary(capsys):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ground_truth = COCO()
    ground_truth.dataset = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": []}
    ground_truth.createIndex()
    evaluation = COCOeval(ground_truth, ground_truth, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    capsys.readouterr()
    evaluation.summarize()
    printed = re.findall(r"Average (\w+) .*IoU=(\S+)\s*\| area=\s*(\w+) \| maxDets=\s*(\d+)",
                         capsys.readouterr().out)
    descriptions = [(measure.title(), iou, objects.split(",")[0], str(count))
                    for measure, iou, objects, count in STAT_DESCRIPTIONS.values()]
    assert descriptions == printed
    assert tuple(STAT_DESCRIPTIONS) == STATS


@pytest.mark.parametrize("names", [["a"], ["a class of a rather long name" * 4, "b"]],
                         ids=["short", "long"])
def test_tables_keep_to_eighty_columns(names):
    scores = scores_of(names)
    text = scores_table(scores) + "\n" + classes_table(scores)
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()


def test_class_rows_have_scores_and_ground_truth_counts():
    lines = classes_table(scores_of(["cat", "traffic light"])).splitlines()
    assert [line.split() for line in lines] == [
        ["class", "AP", "AP50", "ground", "truth"],
        ["cat", "1.0000", "1.0000", "1"],
        ["traffic", "light", "-", "-", "0"],
    ]
    assert len(set(map(len, lines))) == 1
