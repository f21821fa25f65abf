"""Hundreds of thousands of categories and issues: the time grows linearly."""

import json
import time

import pytest
from small_sets import coco, draw, write_json

from detkit import text
from detkit.data.detection.load_detection_data import load_detection_data
from detkit.data.report import ledger as ledgers
from detkit.data.report.class_aliases import match_class_names
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError
from detkit.evaluation.detection.coco_eval import evaluate_boxes

IMAGES = [f"{i}.png" for i in range(6)]


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(IMAGES):
        draw(tmp_path / "set" / name, seed=i)
    return tmp_path / "set"


def test_time_grows_linearly_with_the_number_of_categories(folder, tmp_path):
    """Twenty thousand took 18 s on two cores when each was compared with all others."""
    boxes = [(i, i % 2, [4, 5, 12, 10]) for i in range(6)]
    ground_truth = coco(IMAGES, boxes, [f"class {i}" for i in range(20_000)])
    write_json(folder / "coco.json", ground_truth)
    start = time.perf_counter()
    data = load_detection_data(folder, tmp_path / "work")
    again = load_detection_data(folder, tmp_path / "work", classes=data.classes)
    scores = evaluate_boxes(ground_truth, [])
    assert time.perf_counter() - start < 9
    assert len(data.classes) == len(again.classes) == len(scores.per_class) == 20_000
    assert scores.AP == 0


def test_time_grows_linearly_with_unknown_categories(tmp_path):
    ledger = Ledger()
    names = [f"name {i}" for i in range(20_000)]
    start = time.perf_counter()
    match_class_names({"train": names}, {"train": dict.fromkeys(names, 1)}, {"train": tmp_path},
                      ledger, [f"class {i}" for i in range(20_000)], "box", "boxes")
    assert time.perf_counter() - start < 9
    assert ledger.count("unknown_class") == 20_000


def test_near_names_are_suggested_for_a_limited_number_of_classes(monkeypatch):
    assert text.closest_name("zebar", ["horse", "zebra"]) == "zebra"
    assert text.did_you_mean("zebar", ["horse", "zebra"]) == "; did you mean 'zebra'?"
    assert text.did_you_mean("zebar", ["horse"]) == text.did_you_mean("zebar", []) == ""
    monkeypatch.setattr(text, "MAX_COMPARED_NAMES", 1)
    assert text.closest_name("zebar", ["horse", "zebra"]) is None


def test_findings_are_all_counted_and_the_first_are_kept(folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(ledgers, "MAX_ISSUES_PER_GROUP", 5)
    ground_truth = coco(
        IMAGES,
        [(i, 0, [4, 5, 12, 10]) for i in range(6)] + [(i % 6, 0, [4, 5, 0, 10]) for i in range(20)],
    )
    write_json(folder / "coco.json", ground_truth)
    with caplog.at_level("INFO", "detkit"):
        data = load_detection_data(folder, tmp_path / "work")
    assert data.ledger.counts == {"zero_size_box": 20, "unused_class": 1}
    assert data.ledger.count("zero_size_box") == 20
    assert len(data.ledger.filter_by_code("zero_size_box")) == 5
    ledger_json = json.loads((tmp_path / "work" / "data" / "ledger.json").read_text())
    assert ledger_json["counts"]["zero_size_box"] == 20 and ledger_json["unlisted"] == {
        "zero_size_box": 15
    }
    assert len(ledger_json["faults"]) == 6
    assert "... and 17 more" in caplog.text and "6 of 21 issues are listed in" in caplog.text


def test_errors_are_counted_and_raised_beyond_the_issue_limit(monkeypatch):
    monkeypatch.setattr(ledgers, "MAX_ISSUES_PER_GROUP", 2)
    ledger = Ledger()
    for i in range(7):
        ledger.add("odd", f"number {i}", "kept", split="train")
        ledger.add("odd", f"bad {i}", ERROR, split="train")
    assert ledger.counts == {"odd": 14} and ledger.unlisted == {"odd": 10}
    with pytest.raises(DataError, match=r"data set: bad 0 \(and 6 more errors\)"):
        ledger.raise_errors()
    ledger.map_resolutions(lambda code, resolution: "found")
    assert ledger.counts == {"odd": 14} and ledger.errors == []


def test_remove_and_prepend_update_the_group_counts(monkeypatch):
    monkeypatch.setattr(ledgers, "MAX_ISSUES_PER_GROUP", 2)
    first, second = Ledger(), Ledger(unit="images")
    for i in range(5):
        first.add("told", f"number {i}", "kept")
        second.add("told", f"number {i}", "kept")
        second.add("own", f"number {i}", "kept")
    second.remove(lambda issue: issue.code == "told")
    assert second.counts == {"own": 5}
    second.prepend(first)
    assert second.counts == {"told": 5, "own": 5}
    assert [issue.code for issue in second.issues] == ["told", "told", "own", "own"]


def test_long_texts_are_shortened_in_the_summary(folder, tmp_path):
    ground_truth = coco(IMAGES, [(i, 0, [4, 5, 12, 10]) for i in range(6)])
    ground_truth["categories"][1]["name"] = "x" * 1_000_000
    ground_truth["annotations"][0].update(bbox=[1] * 100_000, id="y" * 1_000_000)
    ground_truth["annotations"][1]["area"] = "\ud800"
    write_json(folder / "coco.json", ground_truth)
    ledger = load_detection_data(folder, tmp_path / "work").ledger
    assert ledger.counts == {"not_a_box": 1, "image_without_usable_box": 1, "unused_class": 1}
    assert max(len(line) for line in ledger.summary()) < 3000
