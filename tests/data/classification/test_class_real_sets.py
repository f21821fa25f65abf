"""The real sets of labelled pictures, whose faults are known and must be found by name."""

from collections import Counter

import pytest
from class_sets import listed

from detkit.data.classification.load_classification_data import open_class_data


def by_class(data):
    counts = Counter()
    for split in data.splits.values():
        counts.update(dict(zip(data.classes, split.counts)))
    return dict(counts)


def test_trashnets_three_pictures_with_two_labels_are_named(shared_data, tmp_path, caplog):
    data = open_class_data(shared_data / "cls_trashnet", tmp_path)
    # SOURCE.txt: 100 of each class; metal91 = glass115, plastic332 = glass389,
    # plastic152 = glass176
    assert by_class(data) == dict.fromkeys(
        ("cardboard", "glass", "metal", "paper", "plastic", "trash"), 100)
    faults = data.ledger.of_kind("picture_with_two_labels")
    assert len(faults) == len(data.ledger.faults) == 3
    for pair in (("metal91", "glass115"), ("plastic332", "glass389"), ("plastic152", "glass176")):
        assert sum(all(f"/{name}.jpg" in fault.what for name in pair) for fault in faults) == 1
        assert all(f"/{name}.jpg" in caplog.text for name in pair)
        sides = {name for name in data.splits for path, _ in listed(data, name)
                 if path.endswith(tuple(f"/{one}.jpg" for one in pair))}
        assert len(sides) == 1


@pytest.mark.slow
def test_the_sketches_are_all_there(shared_data, tmp_path):
    data = open_class_data(shared_data / "cls_sketch_tuberlin", tmp_path)
    # SOURCE.txt: 80 of each, person 160; divided 80, 10 and 10 %
    assert data.splits["test"].counts == (8, 8, 8, 8, 8, 8, 16)
    assert by_class(data) == {"dog": 80, "elephant": 80, "giraffe": 80, "guitar": 80, "horse": 80,
                              "house": 80, "person": 160}
    assert data.ledger.faults == []


@pytest.mark.parametrize("folder, counts", [
    # SOURCE.txt: platelets 361, red cells 4155 less two without size, white cells 372
    ("det_bccd_voc", {"Platelets": 361, "RBC": 4153, "WBC": 372}),
])
def test_crops_of_the_blood_cells(shared_data, tmp_path, folder, counts):
    data = open_class_data(shared_data / folder, tmp_path)
    assert data.format == "crops" and by_class(data) == counts
    assert data.ledger.counts == {"zero_size_box": 2}
