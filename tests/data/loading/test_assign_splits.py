"""The division of names into train, val and test by a seed, which both tasks share."""

from collections import Counter
from pathlib import Path

import pytest

from detkit.data.loading.assign_splits import assign_splits, complete_splits, map_duplicates
from detkit.data.report.ledger import Ledger, SplitCount


@pytest.mark.parametrize("count, sizes", [
    (0, {}), (1, {"train": 1}), (2, {"train": 1, "val": 1}),
    (3, {"train": 1, "val": 1, "test": 1}),
    # 10 % of 25 is 2.5, which Python rounds to 2.
    (25, {"train": 21, "val": 2, "test": 2}), (100, {"train": 80, "val": 10, "test": 10}),
])
def test_sizes_of_the_splits(count, sizes):
    names = [f"{index}.jpg" for index in range(count)]
    assert Counter(assign_splits(names, 0).values()) == sizes


def test_the_order_of_the_names_does_not_matter_and_the_seed_does():
    names = [f"{index}.jpg" for index in range(50)]
    assert assign_splits(names, 0) == assign_splits(names[::-1], 0) != assign_splits(names, 1)


def test_duplicates_map_to_the_first_name_of_their_group():
    name_of = {Path("/x") / name: name for name in "abcd"}
    assert map_duplicates(name_of, []) == {}
    assert map_duplicates(name_of, [[Path("/x/b"), Path("/x/c"), Path("/x/d")]]) == {
        "c": "b", "d": "b"}


def test_left_out_images_are_counted_with_train_after_a_division():
    ledger = Ledger(splits={"all": SplitCount(4, images_left_out=3, boxes_left_out=5)})
    image_dirs = {"all": Path("/x")}
    splits = complete_splits(
        {"all": "abcd"}, image_dirs, ledger, 7,
        lambda names, image_dir: {"train": names[:2], "val": names[2], "test": names[3]},
        lambda names: SplitCount(len(names)))
    assert splits == {"train": "ab", "val": "c", "test": "d"}
    assert ledger.splits == {"train": SplitCount(2, 3, 0, 5), "val": SplitCount(1),
                             "test": SplitCount(1)}
    assert image_dirs["test"] == Path("/x") and "divided by seed 7 into train 2" in ledger.notes[0]


def test_a_split_without_images_is_replaced_by_the_other_one():
    ledger = Ledger(splits={"train": SplitCount(2)})
    splits = complete_splits(
        {"train": "ab"}, {"train": Path("/x")}, ledger, 0,
        lambda names, image_dir: {"train": names[0], "val": names[1], "test": ""},
        lambda names: SplitCount(len(names)))
    assert splits == {"train": "a", "val": "b", "test": "b"}
    assert ledger.notes[1] == "there is no test split: val is used in its place"
