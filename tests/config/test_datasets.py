"""Dataset wrappers in a config are opened the same way everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detkit.config.data.datasets import (
    dataset_files,
    iter_split_datasets,
    raise_missing_files,
    unwrap_dataset,
)
from detkit.errors import DataError

FIRST, SECOND = dict(type="CocoDataset", ann_file="a"), dict(type="CocoDataset", ann_file="b")
CONCATENATED = dict(type="ConcatDataset", datasets=[FIRST, SECOND])
REPEATED = dict(type="RepeatDataset", dataset=CONCATENATED)


def test_every_dataset_of_the_splits_has_its_path() -> None:
    cfg = {"train_dataloader": {"dataset": REPEATED}, "val_dataloader": {"dataset": FIRST},
           "test_dataloader": None}
    assert list(iter_split_datasets(cfg, ["train", "test"])) == [
        ("train_dataloader.dataset", REPEATED),
        ("train_dataloader.dataset.dataset", CONCATENATED),
        ("train_dataloader.dataset.dataset.datasets[0]", FIRST),
        ("train_dataloader.dataset.dataset.datasets[1]", SECOND),
    ]


@pytest.mark.parametrize(("dataset", "expected"), [
    (None, []), ({}, [{}]), (FIRST, [FIRST]), (CONCATENATED, [CONCATENATED, FIRST]),
    (REPEATED, [REPEATED, CONCATENATED, FIRST]),
], ids=["none", "empty", "plain", "concatenated", "repeated"])
def test_unwrap_dataset_follows_the_first(dataset: Any, expected: list[Any]) -> None:
    assert list(unwrap_dataset(dataset)) == expected


@pytest.mark.parametrize(("dataset", "expected"), [
    ({}, (None, Path())),
    (dict(data_root="r", ann_file="a.json", data_prefix=dict(img="i")),
     (Path("r/a.json"), Path("r/i"))),
    (dict(data_root="r", data_prefix="i"), (None, Path("r/i"))),
    (dict(ann_file="s3://a.json"), (None, Path())),
    (dict(data_root=None, ann_file="a.json", data_prefix=None), (Path("a.json"), Path())),
], ids=["empty", "all", "prefix as text", "URL", "None"])
def test_files_of_a_dataset(dataset: dict[str, Any], expected: tuple[Path | None, Path]) -> None:
    assert dataset_files(dataset) == expected


def test_missing_files_are_listed_once_each() -> None:
    raise_missing_files([])
    missing = [(Path("a"), "train_dataloader.dataset"), (Path("a"), "train_dataloader.dataset"),
               (Path("b"), "val_dataloader.dataset")]
    with pytest.raises(DataError, match=r": a \(train_dataloader.dataset\), b \(val_data"):
        raise_missing_files(missing)
