"""Hundreds of thousands of categories and findings: time that grows with them, and no more."""

import json
import time

import pytest
from small_sets import coco, draw, write_json

from detkit import text
from detkit.data.detection.load_detection_data import open_data
from detkit.data.report import ledger as ledgers
from detkit.data.report.class_aliases import match_spellings
from detkit.data.report.class_ledger import ClassLedger
from detkit.data.report.ledger import REFUSED, Ledger
from detkit.errors import DataError
from detkit.evaluation.detection.coco_eval import evaluate_boxes

IMAGES = [f"{at}.png" for at in range(6)]


@pytest.fixture
def folder(tmp_path):
    for at, name in enumerate(IMAGES):
        draw(tmp_path / "set" / name, seed=at)
    return tmp_path / "set"


def test_categories_take_time_as_they_are_many(folder, tmp_path):
    """Twenty thousand took 18 s on two cores when each was compared with all others."""
    boxes = [(at, at % 2, [4, 5, 12, 10]) for at in range(6)]
    truth = coco(IMAGES, boxes, [f"class {at}" for at in range(20_000)])
    write_json(folder / "coco.json", truth)
    begin = time.perf_counter()
    data = open_data(folder, tmp_path / "work")
    again = open_data(folder, tmp_path / "work", classes=data.classes)
    scores = evaluate_boxes(truth, [])
    assert time.perf_counter() - begin < 9
    assert len(data.classes) == len(again.classes) == len(scores.per_class) == 20_000
    assert scores.AP == 0


def test_unknown_categories_take_time_as_they_are_many(tmp_path):
    ledger = Ledger()
    names = [f"name {at}" for at in range(20_000)]
    begin = time.perf_counter()
    match_spellings({"train": names}, {"train": dict.fromkeys(names, 1)}, {"train": tmp_path},
                    ledger, [f"class {at}" for at in range(20_000)], "box", "boxes")
    assert time.perf_counter() - begin < 9
    assert ledger.count("unknown_class") == 20_000


def test_an_unknown_category_is_told_with_its_neighbour_as_long_as_that_is_quick(monkeypatch):
    assert text.near_name("zebar", ["horse", "zebra"]) == "zebra"
    assert text.hint("zebar", ["horse", "zebra"]) == "; did you mean 'zebra'?"
    assert text.hint("zebar", ["horse"]) == text.hint("zebar", []) == ""
    monkeypatch.setattr(text, "MOST_COMPARED", 1)
    assert text.near_name("zebar", ["horse", "zebra"]) is None


def test_findings_are_all_counted_and_the_first_are_kept(folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(ledgers, "MOST_LISTED", 5)
    truth = coco(IMAGES, [(at, 0, [4, 5, 12, 10]) for at in range(6)]
                 + [(at % 6, 0, [4, 5, 0, 10]) for at in range(20)])
    write_json(folder / "coco.json", truth)
    with caplog.at_level("INFO", "detkit"):
        data = open_data(folder, tmp_path / "work")
    assert data.ledger.counts == {"zero_size_box": 20, "unused_class": 1}
    assert data.ledger.count("zero_size_box") == 20
    assert len(data.ledger.of_kind("zero_size_box")) == 5
    said = json.loads((tmp_path / "work" / "data" / "ledger.json").read_text())
    assert said["counts"]["zero_size_box"] == 20 and said["unlisted"] == {"zero_size_box": 15}
    assert len(said["faults"]) == 6
    assert "... and 17 more" in caplog.text and "6 of 21 findings stand in" in caplog.text


def test_what_is_refused_is_counted_and_named_however_much_else_there_is(monkeypatch):
    monkeypatch.setattr(ledgers, "MOST_LISTED", 2)
    ledger = Ledger()
    for at in range(7):
        ledger.add("odd", f"number {at}", "kept", split="train")
        ledger.add("odd", f"bad {at}", REFUSED, split="train")
    assert ledger.counts == {"odd": 14} and ledger.unlisted == {"odd": 10}
    with pytest.raises(DataError, match=r"data set: bad 0 \(and 6 more that cannot be mended\)"):
        ledger.raise_refused()
    ledger.reword(lambda kind, action: "found")
    assert ledger.counts == {"odd": 14} and ledger.refused == []


def test_findings_are_taken_out_and_put_together_by_their_sorts(monkeypatch):
    monkeypatch.setattr(ledgers, "MOST_LISTED", 2)
    first, second = Ledger(), ClassLedger()
    for at in range(5):
        first.add("told", f"number {at}", "kept")
        second.add("told", f"number {at}", "kept")
        second.add("own", f"number {at}", "kept")
    second.drop(lambda fault: fault.kind == "told")
    assert second.counts == {"own": 5}
    second.put_before(first)
    assert second.counts == {"told": 5, "own": 5}
    assert [fault.kind for fault in second.faults] == ["told", "told", "own", "own"]


def test_texts_of_any_length_make_short_lines(folder, tmp_path):
    truth = coco(IMAGES, [(at, 0, [4, 5, 12, 10]) for at in range(6)])
    truth["categories"][1]["name"] = "x" * 1_000_000
    truth["annotations"][0].update(bbox=[1] * 100_000, id="y" * 1_000_000)
    truth["annotations"][1]["area"] = "\ud800"
    write_json(folder / "coco.json", truth)
    ledger = open_data(folder, tmp_path / "work").ledger
    assert ledger.counts == {"not_a_box": 1, "image_without_usable_box": 1, "unused_class": 1}
    assert max(len(line) for line in ledger.summary()) < 3000
