"""COCO scores against pycocotools, published numbers and hand-computed values."""

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


def run_pycocotools(ground_truth, results, category_ids=None):
    """The twelve numbers and the precision, computed as in pycocotools' documentation."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(ground_truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
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
             "area": box[2] * box[3], "bbox": box, **extra}
            for index, (box, extra) in enumerate(annotations)
        ],
    }


def detection(box, score=0.9, category=1, image=7):
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def random_set(seed, image_ids):
    """Annotations and results with crowds, tied scores, all three sizes and absent classes."""
    draw = np.random.default_rng(seed)
    categories = [{"id": number, "name": f"class {number}"} for number in (90, 3, 17, 4)]
    ground_truth = {
        "images": [{"id": number} for number in image_ids], "categories": categories,
        "annotations": []
    }
    results = []
    for image in image_ids:
        for _ in range(draw.integers(0, 9)):
            box = [*draw.uniform(0, 300, 2).tolist(), *draw.uniform(3, 200, 2).tolist()]
            category = int(draw.choice([90, 3, 17]))
            ground_truth["annotations"].append({
                "id": len(ground_truth["annotations"]) + 1, "image_id": image,
                "category_id": category, "bbox": box, "area": box[2] * box[3] * 0.7,
                "iscrowd": int(draw.random() < 0.1),
            })
            for _ in range(draw.integers(0, 4)):
                jittered = (np.array(box) + draw.normal(0, 4, 4)).clip(1).tolist()
                results.append(detection(jittered, round(float(draw.random()), 1), category, image))
        results.append(detection([1, 2, 30, 40], 0.5, int(draw.choice([90, 4])), image))
    return ground_truth, results


def assert_equals_pycocotools(scores, expected):
    stats, precision = expected
    for name, value, expected_value in zip(STATS, scores.stats, stats):
        assert math.isnan(value) if expected_value == -1 else value == expected_value, name
    for index, item in enumerate(scores.per_class):
        for actual, class_precision in ((item.AP, precision[:, :, index, 0, 2]),
                                        (item.AP50, precision[0, :, index, 0, 2])):
            valid = class_precision[class_precision > -1]
            assert math.isnan(actual) if not valid.size else actual == np.mean(valid), item.name


def test_no_detections_give_zero_ap_and_nan_for_absent_sizes():
    scores = evaluate_boxes(one_image([([0, 0, 50, 50], {})]), [])
    assert (scores.AP, scores.AP50, scores.APm, scores.AR100) == (0, 0, 0, 0)
    assert math.isnan(scores.APs) and math.isnan(scores.APl)
    assert (scores.images, scores.ground_truths, scores.detections) == (1, 1, 0)


def test_no_ground_truth_gives_nan_with_a_note():
    scores = evaluate_boxes(one_image([]), [detection([0, 0, 9, 9])])
    assert all(map(math.isnan, scores.stats))
    assert "no boxes" in scores.notes[-1]
    assert json.loads(json.dumps(scores.as_dict(), allow_nan=False))["AP"] is None


def test_published_numbers_of_coco100_to_four_digits(shared_data):
    folder = shared_data / "eval_coco100"
    scores = evaluate_boxes(folder / "instances_val2014_100.json",
                            folder / "instances_val2014_fakebbox100_results.json")
    assert [f"{value:.4f}" for value in scores.stats] == [f"{value:.4f}" for value in COCO100]
    assert (scores.images, scores.ground_truths, scores.crowds, scores.detections) == (
        100,
        839,
        9,
        734,
    )


def test_published_numbers_of_voc100_with_detections_matched_by_name(shared_data):
    folder = shared_data / "formats_voc100"
    ground_truth = json.loads((folder / "gts/coco_format_v1/instances_default.json").read_text())
    coco = json.loads((folder / "dets/coco_format/coco_dets.json").read_text())
    images = {item["file_name"]: item["id"] for item in ground_truth["images"]}
    categories = {item["name"]: item["id"] for item in ground_truth["categories"]}
    files = {item["id"]: item["file_name"] for item in coco["images"]}
    names = {item["id"]: item["name"] for item in coco["categories"]}
    results = [
        detection(item["bbox"], item["score"], categories[names[item["category_id"]]],
                  images[files[item["image_id"]]]) for item in coco["annotations"]
    ]
    scores = evaluate_boxes(ground_truth, results)
    assert [f"{value:.4f}" for value in scores.stats] == [f"{value:.4f}" for value in VOC100]
    # The second COCO form of the same boxes, with image ids beyond 32 bits.
    second_form = json.loads((folder / "gts/coco_format_v2/instances_v2.json").read_text())
    ids = {item["file_name"]: item["id"] for item in second_form["images"]}
    category_ids_by_name = {item["name"]: item["id"] for item in second_form["categories"]}
    name_of_image = {number: name for name, number in images.items()}
    name_of_category = {number: name for name, number in categories.items()}
    remapped = [{
        **item, "image_id": ids[name_of_image[item["image_id"]]],
        "category_id": category_ids_by_name[name_of_category[item["category_id"]]]
    } for item in results]
    assert evaluate_boxes(second_form, remapped).AP == pytest.approx(scores.AP, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "image_ids",
    [[0, 5, 3, 1], list(range(30, 10, -1)), [20180000009, 20180000001], ["b", "a", "c 10", "c 9"]],
    ids=["from zero", "falling", "beyond 32 bits", "texts"],
)
def test_scores_are_bit_identical_to_pycocotools(seed, image_ids):
    ground_truth, results = random_set(seed, image_ids)
    assert_equals_pycocotools(evaluate_boxes(ground_truth, results),
                              run_pycocotools(ground_truth, results))


def test_equals_pycocotools_with_over_100_detections_of_a_class():
    ground_truth, _ = random_set(5, [1, 2])
    draw = np.random.default_rng(0)
    results = [
        detection((np.array(item["bbox"]) + draw.normal(0, 6, 4)).clip(1).tolist(),
                  float(draw.random()), item["category_id"], item["image_id"])
        for item in ground_truth["annotations"] * 60
    ]
    assert_equals_pycocotools(evaluate_boxes(ground_truth, results),
                              run_pycocotools(ground_truth, results))


def test_equals_pycocotools_on_selected_classes():
    ground_truth, results = random_set(1, [4, 5, 6])
    scores = evaluate_boxes(ground_truth, results, classes=["class 90", "class 3"])
    assert [item.name for item in scores.per_class] == ["class 3", "class 90"]
    assert_equals_pycocotools(scores, run_pycocotools(ground_truth, results, [3, 90]))


def test_perfect_detection_of_half_of_the_objects():
    # Two objects, one detected: precision is 1 up to recall 0.5, so at 51 of the 101 recalls
    # (0.00, 0.01, ..., 0.50), and 0 beyond: AP = 51 / 101 at every IoU; recall is 1 / 2.
    ground_truth = one_image([([0, 0, 50, 50], {}), ([60, 60, 20, 20], {})])
    scores = evaluate_boxes(ground_truth, [detection([0, 0, 50, 50])])
    assert scores.AP == scores.AP50 == pytest.approx(51 / 101)
    assert scores.AR1 == scores.AR100 == 0.5
    assert (scores.APm, scores.APs) == (pytest.approx(1), 0)


def test_match_with_annotation_id_zero_counts():
    # One object, detected exactly: AP 1. pycocotools reads the id 0 of the match as "no match".
    ground_truth = one_image([([0, 0, 50, 50], {"id": 0})])
    results = [detection([0, 0, 50, 50])]
    assert run_pycocotools(ground_truth, results)[0][0] == 0
    scores = evaluate_boxes(ground_truth, results)
    assert scores.AP == pytest.approx(1)
    assert "id 0" in scores.notes[0]


def test_annotations_with_duplicate_ids_count_once_each():
    ground_truth = one_image([([0, 0, 50, 50], {"id": 3}), ([60, 60, 20, 20], {"id": 3})])
    scores = evaluate_boxes(ground_truth, [detection([0, 0, 50, 50]), detection([60, 60, 20, 20])])
    assert scores.AP == pytest.approx(1)
    assert "1 annotations have no id" in scores.notes[0]


@pytest.mark.parametrize("area", [None, "", float("nan"), "absent"])
def test_missing_area_becomes_width_times_height(area):
    ground_truth = one_image([([0, 0, 50, 50], {"area": area})])
    if area == "absent":
        del ground_truth["annotations"][0]["area"]
    scores = evaluate_boxes(ground_truth, [detection([0, 0, 50, 50])])
    assert scores.APm == pytest.approx(1)
    assert scores.notes == ("1 annotations have no area; width times height is used",)


def test_missing_iscrowd_is_zero_and_missed_crowds_do_not_count():
    ground_truth = one_image([([0, 0, 50, 50], {}), ([60, 60, 20, 20], {"iscrowd": 1})])
    del ground_truth["annotations"][0]["iscrowd"]
    scores = evaluate_boxes(ground_truth, [detection([0, 0, 50, 50])])
    assert (scores.AP, scores.ground_truths, scores.crowds) == (pytest.approx(1), 2, 1)
    assert [item.ground_truths for item in scores.per_class] == [1]
    assert "iscrowd" in scores.notes[0]


def test_float_ids_equal_integer_ids():
    ground_truth = one_image([([0, 0, 50, 50], {"image_id": 7.0})])
    scores = evaluate_boxes(ground_truth, [detection([0, 0, 50, 50], category=1.0)])
    assert scores.AP == pytest.approx(1)


def test_numpy_values_and_boxes_are_accepted():
    ground_truth = one_image([([0, 0, 50, 50], {})])
    box = np.array([0, 0, 50, 50], np.float32)
    scores = evaluate_boxes(ground_truth,
                            [detection(box, np.float32(0.5), np.int64(1), np.int64(7))])
    assert scores.AP == pytest.approx(1)


def test_categories_with_the_same_name_are_separate():
    ground_truth = one_image([([0, 0, 50, 50], {})],
                             categories=((1, "cat"), (2, "cat"), (3, "dog")))
    scores = evaluate_boxes(ground_truth, [detection([0, 0, 50, 50])])
    assert [item.name for item in scores.per_class] == ["cat (id 1)", "cat (id 2)", "dog"]
    assert scores.per_class[0].AP == pytest.approx(1)


def test_inputs_are_not_modified_and_stdout_is_empty(capsys):
    ground_truth, results = random_set(2, [1, 2])
    before = copy.deepcopy((ground_truth, results))
    evaluate_boxes(ground_truth, results)
    assert (ground_truth, results) == before
    assert capsys.readouterr() == ("", "")


def test_category_without_ground_truth_leaves_scores_unchanged():
    small = {
        "images": [{"id": 1}], "categories": [{"id": 5, "name": "b"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "bbox": [1, 1, 9, 9]}]
    }
    extra = {
        **small, "categories": [{"id": at, "name": name}
                                for at, name in ((1, "a"), (5, "b"), (9, "c"))]
    }
    detection = [{"image_id": 1, "category_id": 5, "bbox": [1, 1, 9, 9], "score": 0.5}]
    stray = [{"image_id": 1, "category_id": 9, "bbox": [1, 1, 9, 9], "score": 0.9}]
    expected, scores = evaluate_boxes(small, detection), evaluate_boxes(extra, detection + stray)
    assert (expected.AP, expected.AR100) == pytest.approx((1.0, 1.0))
    assert (scores.AP, scores.AR100) == (expected.AP, expected.AR100)
    a, b, c = scores.per_class
    assert (a.name, b.name, c.name) == ("a", "b", "c")
    assert b.AP == expected.AP
    assert math.isnan(a.AP) and math.isnan(c.AP50)
