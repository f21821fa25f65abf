"""Hints on shifted ids and other conventions; valid results have none."""

import re

import numpy as np
import pytest

from detkit.cli.main import main
from detkit.evaluation.detection.coco_eval import evaluate_boxes

SIZE = (200, 160)
CLASSES = [(1, "a"), (2, "b"), (3, "c")]


def make_ground_truth(images=8, classes=CLASSES):
    """Three boxes of three classes in each image; all images differ."""
    rng = np.random.default_rng(0)
    annotations = []
    for image in range(1, images + 1):
        for at in range(3):
            left, top = rng.integers(5, 25) + 60 * at, rng.integers(5, 80)
            width, height = rng.integers(20, 33), rng.integers(40, 70)
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": 1 + at,
                "bbox": [int(v) for v in (left, top, width, height)], "iscrowd": 0,
                "area": int(width * height)})
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": SIZE[0], "height": SIZE[1]}
                   for n in range(1, images + 1)],
        "annotations": annotations,
        "categories": [{"id": key, "name": name} for key, name in classes],
    }


def make_results(ground_truth, box=lambda x, y, w, h: [x, y, w, h], category=lambda c: c,
                 image=lambda i: i, score=lambda s: s):
    """The annotated boxes as results, shifted by one pixel, in another convention."""
    return [{"image_id": image(item["image_id"]), "category_id": category(item["category_id"]),
             "bbox": [float(v) for v in box(item["bbox"][0] + 1, *item["bbox"][1:])],
             "score": score(0.99 - 0.01 * at)}
            for at, item in enumerate(ground_truth["annotations"])]


def hints(ground_truth, results):
    return evaluate_boxes(ground_truth, results, hints=True).hints


WIDTH, HEIGHT = SIZE
CONVENTIONS = {
    "corners": ({"box": lambda x, y, w, h: [x, y, x + w, y + h]}, "corners x1, y1, x2, y2"),
    "centers": ({"box": lambda x, y, w, h: [x + w / 2, y + h / 2, w, h]}, "center and size"),
    "exchanged": ({"box": lambda x, y, w, h: [y, x, h, w]}, "y, x, height, width"),
    "exchanged-corners": ({"box": lambda x, y, w, h: [y, x, y + h, x + w]},
                          "corners y1, x1, y2, x2"),
    "fractions": ({"box": lambda x, y, w, h: [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT]},
                  "fractions of the image's width and height instead"),
    "yolo": ({"box": lambda x, y, w, h: [(x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH,
                                         h / HEIGHT]}, "as center and size"),
    "fraction-corners": ({"box": lambda x, y, w, h: [x / WIDTH, y / HEIGHT, (x + w) / WIDTH,
                                                     (y + h) / HEIGHT]}, "as corners"),
    "other-size": ({"box": lambda x, y, w, h: [4 * x, 4 * y, 4 * w, 4 * h]}, "another size"),
    "next-category": ({"category": lambda c: c - 1 if c > 1 else 3}, "shifted.* -1|exchanged"),
    "exchanged-classes": ({"category": lambda c: {1: 3, 2: 2, 3: 1}[c]}, "exchanged"),
    "one-class": ({"category": lambda c: 2}, "all results are of the class 'b'"),
    "percent": ({"score": lambda s: 100 * s}, "percent"),
    "logits": ({"score": lambda s: 10 * s - 9}, "not probabilities"),
    "equal-scores": ({"score": lambda s: 1.0}, "all scores are 1"),
}


@pytest.mark.parametrize("changes, message", CONVENTIONS.values(), ids=CONVENTIONS)
def test_box_and_class_conventions_are_detected(changes, message):
    ground_truth = make_ground_truth()
    messages = hints(ground_truth, make_results(ground_truth, **changes))
    assert len(messages) == 1 and re.search(message, messages[0]), messages


def test_shifted_image_ids_are_detected():
    ground_truth = make_ground_truth()
    results = [
        item for item in make_results(ground_truth, image=lambda i: i - 1) if item["image_id"] > 0
    ]
    (hint,) = hints(ground_truth, results)
    assert "image ids" in hint and "add +1 to each image_id" in hint


def test_shifted_category_ids_with_an_unannotated_class_are_detected():
    ground_truth = make_ground_truth(classes=[(0, "things"), *CLASSES])
    (hint,) = hints(ground_truth, make_results(ground_truth, category=lambda c: c - 1))
    assert "shifted" in hint and "+1 added to each category_id" in hint and "'things'" in hint


@pytest.mark.parametrize(
    "make",
    [
        lambda ground_truth: make_results(ground_truth),
        lambda ground_truth: make_results(ground_truth)[:3],  # a detector that finds little
        lambda ground_truth: make_results(ground_truth, category=lambda c: c) + make_results(
            ground_truth, category=lambda c: 1),
        lambda ground_truth: [{
            "image_id": image, "category_id": 1 + at % 3, "score": 0.9 - at / 200, "bbox": np.random
            .default_rng(image * 100 + at).uniform(0, 80, 4).tolist()
        } for image in range(1, 9) for at in range(100)],
    ],
    ids=["right", "few", "some-of-a-wrong-class", "random"])
def test_valid_results_have_no_hint(make):
    ground_truth = make_ground_truth()
    assert hints(ground_truth, make(ground_truth)) == ()


@pytest.mark.parametrize("has_annotations, has_results", [
    (True, False), (False, True), (False, False),
], ids=["no-results", "no-annotations", "nothing"])
def test_empty_ground_truth_or_results_have_no_hint(has_annotations, has_results):
    ground_truth = make_ground_truth()
    results = make_results(ground_truth) if has_results else []
    ground_truth["annotations"] = ground_truth["annotations"] if has_annotations else []
    assert hints(ground_truth, results) == ()


def test_formats_are_detected_without_image_sizes():
    ground_truth = make_ground_truth()
    for image in ground_truth["images"]:
        del image["width"], image["height"]
    (hint,) = hints(ground_truth, make_results(ground_truth, **CONVENTIONS["corners"][0]))
    assert "corners" in hint


def test_hints_are_given_on_request_only():
    ground_truth = make_ground_truth()
    assert evaluate_boxes(ground_truth, make_results(ground_truth,
                                                     **CONVENTIONS["corners"][0])).hints == ()


@pytest.mark.parametrize("name, ap, message", [
    ("ev_plain", "0.2806", None), ("ev_many_ties", "0.2327", None),
    ("ev_percent_scores", "0.2806", "percent"),
    ("ev_corners", "0.0016", "corners x1, y1, x2, y2"),
    ("ev_roboflow_placeholder", "0.0162", r"+1 added to each category_id"),
])
def test_evaluate_command_prints_ap_and_hint(shared_cases, capsys, name, ap, message):
    folder = shared_cases / "evaluate" / name
    assert main(["evaluate", str(folder / "truth.json"), str(folder / "results.json")]) == 0
    printed = capsys.readouterr()
    assert ap in printed.out
    warnings = printed.err.splitlines()
    assert len(warnings) == (1 if message else 0)
    assert not message or message in warnings[0]
