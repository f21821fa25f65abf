"""Real data sets of labeled images, whose known issues must be reported."""

from collections import Counter

import pytest
from class_sets import read_list

from detkit.data.classification.load_classification_data import load_classification_data


def count_by_class(data):
    counts = Counter()
    for split in data.splits.values():
        counts.update(dict(zip(data.classes, split.counts)))
    return dict(counts)


def test_trashnets_three_images_with_two_labels_are_named(shared_data, tmp_path, caplog):
    data = load_classification_data(shared_data / "cls_trashnet", tmp_path)
    # SOURCE.txt: 100 of each class; metal91 = glass115, plastic332 = glass389,
    # plastic152 = glass176
    assert count_by_class(data) == dict.fromkeys(
        ("cardboard", "glass", "metal", "paper", "plastic", "trash"), 100)
    issues = data.ledger.filter_by_code("picture_with_two_labels")
    assert len(issues) == len(data.ledger.issues) == 3
    for pair in (("metal91", "glass115"), ("plastic332", "glass389"), ("plastic152", "glass176")):
        assert sum(all(f"/{name}.jpg" in issue.message for name in pair) for issue in issues) == 1
        assert all(f"/{name}.jpg" in caplog.text for name in pair)
        sides = {name for name in data.splits for path, _ in read_list(data, name)
                 if path.endswith(tuple(f"/{stem}.jpg" for stem in pair))}
        assert len(sides) == 1


@pytest.mark.slow
def test_the_sketches_are_all_there(shared_data, tmp_path):
    data = load_classification_data(shared_data / "cls_sketch_tuberlin", tmp_path)
    # SOURCE.txt: 80 of each, person 160; divided 80, 10 and 10 %
    assert data.splits["test"].counts == (8, 8, 8, 8, 8, 8, 16)
    assert count_by_class(data) == {
        "dog": 80, "elephant": 80, "giraffe": 80, "guitar": 80, "horse": 80, "house": 80,
        "person": 160
    }
    assert data.ledger.issues == []


@pytest.mark.parametrize("folder, counts", [
    # SOURCE.txt: platelets 361, red cells 4155 less two without size, white cells 372
    ("det_bccd_voc", {"Platelets": 361, "RBC": 4153, "WBC": 372}),
])
def test_crops_of_the_blood_cells(shared_data, tmp_path, folder, counts):
    data = load_classification_data(shared_data / folder, tmp_path)
    assert data.format == "crops" and count_by_class(data) == counts
    assert data.ledger.counts == {"zero_size_box": 2}
