"""The twelve numbers, against pycocotools, published figures and hand-worked sums."""

import contextlib
import copy
import io
import json
import math

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detkit.evaluation.detection.coco_eval import evaluate_boxes
from detkit.evaluation.detection.coco_stats import STATS

# SOURCE.txt of eval_coco100 (as in the published pycocoEvalDemo) and of formats_voc100.
COCO100 = (.5046, .6970, .5730, .5856, .5194, .5014, .3868, .5937, .5954, .6398, .5664, .5643)
VOC100 = (.3470, .6100, .3537, .0752, .3395, .4979, .3735, .5206, .5226, .1583, .4467, .5809)


def by_pycocotools(truth, results, category_ids=None):
    """The twelve numbers and the precision as pycocotools' own documentation computes them."""
    with contextlib.redirect_stdout(io.StringIO()):
        held = COCO()
        held.dataset = copy.deepcopy(truth)
        held.createIndex()
        evaluation = COCOeval(held, held.loadRes(copy.deepcopy(results)), "bbox")
        if category_ids is not None:
            evaluation.params.catIds = category_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, evaluation.eval["precision"]


def one_image(annotations, categories=((1, "cat"),)):
    return {
        "images": [{"id": 7, "width": 100, "height": 100, "file_name": "a.jpg"}],
        "categories": [{"id": number, "name": name} for number, name in categories],
        "annotations": [
            {"id": index + 1, "image_id": 7, "category_id": 1, "iscrowd": 0,
             "area": box[2] * box[3], "bbox": box, **more}
            for index, (box, more) in enumerate(annotations)
        ],
    }


def found(box, score=0.9, category=1, image=7):
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def random_set(seed, image_ids):
    """Truths and results with crowds, ties in score, sizes of all three kinds, absent classes."""
    draw = np.random.default_rng(seed)
    categories = [{"id": number, "name": f"class {number}"} for number in (90, 3, 17, 4)]
    truth = {"images": [{"id": number} for number in image_ids], "categories": categories,
             "annotations": []}
    results = []
    for image in image_ids:
        for _ in range(draw.integers(0, 9)):
            box = [*draw.uniform(0, 300, 2).tolist(), *draw.uniform(3, 200, 2).tolist()]
            category = int(draw.choice([90, 3, 17]))
            truth["annotations"].append({
                "id": len(truth["annotations"]) + 1, "image_id": image, "category_id": category,
                "bbox": box, "area": box[2] * box[3] * 0.7, "iscrowd": int(draw.random() < 0.1),
            })
            for _ in range(draw.integers(0, 4)):
                near = (np.array(box) + draw.normal(0, 4, 4)).clip(1).tolist()
                results.append(found(near, round(float(draw.random()), 1), category, image))
        results.append(found([1, 2, 30, 40], 0.5, int(draw.choice([90, 4])), image))
    return truth, results


def assert_equals_pycocotools(scores, expected):
    stats, precision = expected
    for name, value, theirs in zip(STATS, scores.stats, stats):
        assert math.isnan(value) if theirs == -1 else value == theirs, name
    for place, name in enumerate(scores.per_class):
        for ours, part in ((scores.per_class[name], precision[:, :, place, 0, 2]),
                           (scores.per_class_50[name], precision[0, :, place, 0, 2])):
            there = part[part > -1]
            assert math.isnan(ours) if not there.size else ours == np.mean(there), name


def test_no_detections_give_zero_for_what_is_there_and_nothing_for_what_is_not():
    scores = evaluate_boxes(one_image([([0, 0, 50, 50], {})]), [])
    assert (scores.AP, scores.AP50, scores.APm, scores.AR100) == (0, 0, 0, 0)
    assert math.isnan(scores.APs) and math.isnan(scores.APl)
    assert (scores.images, scores.truths, scores.detections) == (1, 1, 0)


def test_no_truths_give_nothing_to_measure_and_say_so():
    scores = evaluate_boxes(one_image([]), [found([0, 0, 9, 9])])
    assert all(map(math.isnan, scores.stats))
    assert "holds no boxes" in scores.notes[-1]
    assert json.loads(json.dumps(scores.as_dict(), allow_nan=False))["AP"] is None


def test_published_numbers_of_coco100_to_four_digits(shared_data):
    folder = shared_data / "eval_coco100"
    scores = evaluate_boxes(folder / "instances_val2014_100.json",
                            folder / "instances_val2014_fakebbox100_results.json")
    assert [f"{value:.4f}" for value in scores.stats] == [f"{value:.4f}" for value in COCO100]
    assert (scores.images, scores.truths, scores.crowds, scores.detections) == (100, 839, 9, 734)


def test_published_numbers_of_voc100_with_detections_matched_by_name(shared_data):
    folder = shared_data / "formats_voc100"
    truth = json.loads((folder / "gts/coco_format_v1/instances_default.json").read_text())
    held = json.loads((folder / "dets/coco_format/coco_dets.json").read_text())
    images = {item["file_name"]: item["id"] for item in truth["images"]}
    categories = {item["name"]: item["id"] for item in truth["categories"]}
    files = {item["id"]: item["file_name"] for item in held["images"]}
    names = {item["id"]: item["name"] for item in held["categories"]}
    results = [
        found(item["bbox"], item["score"], categories[names[item["category_id"]]],
              images[files[item["image_id"]]])
        for item in held["annotations"]
    ]
    scores = evaluate_boxes(truth, results)
    assert [f"{value:.4f}" for value in scores.stats] == [f"{value:.4f}" for value in VOC100]
    # The second COCO form of the same boxes, with image ids beyond 32 bits.
    again = json.loads((folder / "gts/coco_format_v2/instances_v2.json").read_text())
    ids = {item["file_name"]: item["id"] for item in again["images"]}
    kinds = {item["name"]: item["id"] for item in again["categories"]}
    back = {number: name for name, number in images.items()}
    called = {number: name for name, number in categories.items()}
    moved = [{**item, "image_id": ids[back[item["image_id"]]],
              "category_id": kinds[called[item["category_id"]]]} for item in results]
    assert evaluate_boxes(again, moved).AP == pytest.approx(scores.AP, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "image_ids",
    [[0, 5, 3, 1], list(range(30, 10, -1)), [20180000009, 20180000001], ["b", "a", "c 10", "c 9"]],
    ids=["from zero", "falling", "beyond 32 bits", "texts"],
)
def test_equals_pycocotools_to_the_last_bit(seed, image_ids):
    truth, results = random_set(seed, image_ids)
    assert_equals_pycocotools(evaluate_boxes(truth, results), by_pycocotools(truth, results))


def test_equals_pycocotools_beyond_a_hundred_detections_of_one_class():
    truth, _ = random_set(5, [1, 2])
    draw = np.random.default_rng(0)
    results = [
        found((np.array(item["bbox"]) + draw.normal(0, 6, 4)).clip(1).tolist(),
              float(draw.random()), item["category_id"], item["image_id"])
        for item in truth["annotations"] * 60
    ]
    assert_equals_pycocotools(evaluate_boxes(truth, results), by_pycocotools(truth, results))


def test_equals_pycocotools_on_some_classes_only():
    truth, results = random_set(1, [4, 5, 6])
    scores = evaluate_boxes(truth, results, classes=["class 90", "class 3"])
    assert list(scores.per_class) == ["class 3", "class 90"]
    assert_equals_pycocotools(scores, by_pycocotools(truth, results, [3, 90]))


def test_half_of_the_objects_found_perfectly():
    # Two objects, one found: precision is 1 up to recall 0.5, so at 51 of the 101 recalls
    # (0.00, 0.01, ..., 0.50), and 0 beyond: AP = 51 / 101 at every IoU; recall is 1 / 2.
    truth = one_image([([0, 0, 50, 50], {}), ([60, 60, 20, 20], {})])
    scores = evaluate_boxes(truth, [found([0, 0, 50, 50])])
    assert scores.AP == scores.AP50 == pytest.approx(51 / 101)
    assert scores.AR1 == scores.AR100 == 0.5
    assert (scores.APm, scores.APs) == (pytest.approx(1), 0)


def test_annotation_id_zero_counts_as_found():
    # One object, found exactly: AP 1. pycocotools takes the id 0 of the match for "no match".
    truth = one_image([([0, 0, 50, 50], {"id": 0})])
    results = [found([0, 0, 50, 50])]
    assert by_pycocotools(truth, results)[0][0] == 0
    scores = evaluate_boxes(truth, results)
    assert scores.AP == pytest.approx(1)
    assert "id 0" in scores.notes[0]


def test_doubled_annotation_ids_count_once_each():
    truth = one_image([([0, 0, 50, 50], {"id": 3}), ([60, 60, 20, 20], {"id": 3})])
    scores = evaluate_boxes(truth, [found([0, 0, 50, 50]), found([60, 60, 20, 20])])
    assert scores.AP == pytest.approx(1)
    assert "1 annotations have no id" in scores.notes[0]


@pytest.mark.parametrize("area", [None, "", float("nan"), "absent"])
def test_missing_area_becomes_width_times_height(area):
    truth = one_image([([0, 0, 50, 50], {"area": area})])
    if area == "absent":
        del truth["annotations"][0]["area"]
    scores = evaluate_boxes(truth, [found([0, 0, 50, 50])])
    assert scores.APm == pytest.approx(1)
    assert scores.notes == ("1 annotations have no area; width times height was taken",)


def test_missing_iscrowd_is_zero_and_crowds_cost_nothing_when_missed():
    truth = one_image([([0, 0, 50, 50], {}), ([60, 60, 20, 20], {"iscrowd": 1})])
    del truth["annotations"][0]["iscrowd"]
    scores = evaluate_boxes(truth, [found([0, 0, 50, 50])])
    assert (scores.AP, scores.truths, scores.crowds) == (pytest.approx(1), 2, 1)
    assert scores.per_class_truths == {"cat": 1}
    assert "iscrowd" in scores.notes[0]


def test_whole_numbers_written_with_a_point_are_the_same_ids():
    truth = one_image([([0, 0, 50, 50], {"image_id": 7.0})])
    scores = evaluate_boxes(truth, [found([0, 0, 50, 50], category=1.0)])
    assert scores.AP == pytest.approx(1)


def test_numpy_numbers_and_boxes_are_taken():
    truth = one_image([([0, 0, 50, 50], {})])
    box = np.array([0, 0, 50, 50], np.float32)
    scores = evaluate_boxes(truth, [found(box, np.float32(0.5), np.int64(1), np.int64(7))])
    assert scores.AP == pytest.approx(1)


def test_categories_of_one_name_stay_apart():
    truth = one_image([([0, 0, 50, 50], {})], categories=((1, "cat"), (2, "cat"), (3, "dog")))
    scores = evaluate_boxes(truth, [found([0, 0, 50, 50])])
    assert list(scores.per_class) == ["cat (id 1)", "cat (id 2)", "dog"]
    assert scores.per_class["cat (id 1)"] == pytest.approx(1)


def test_what_was_given_is_not_changed_and_nothing_is_printed(capsys):
    truth, results = random_set(2, [1, 2])
    before = copy.deepcopy((truth, results))
    evaluate_boxes(truth, results)
    assert (truth, results) == before
    assert capsys.readouterr() == ("", "")


def test_a_category_without_truths_changes_no_number():
    few = {"images": [{"id": 1}], "categories": [{"id": 5, "name": "b"}],
           "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "bbox": [1, 1, 9, 9]}]}
    more = {**few, "categories": [{"id": at, "name": name} for at, name in ((1, "a"), (5, "b"),
                                                                            (9, "c"))]}
    found = [{"image_id": 1, "category_id": 5, "bbox": [1, 1, 9, 9], "score": 0.5}]
    stray = [{"image_id": 1, "category_id": 9, "bbox": [1, 1, 9, 9], "score": 0.9}]
    one, three = evaluate_boxes(few, found), evaluate_boxes(more, found + stray)
    assert (three.AP, three.AR100) == (one.AP, one.AR100) == pytest.approx((1.0, 1.0))
    assert list(three.per_class) == ["a", "b", "c"] and three.per_class["b"] == one.AP
    assert math.isnan(three.per_class["a"]) and math.isnan(three.per_class_50["c"])
