"""Labeled images, or crops of images, as a dataset of mmengine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from detkit.data.classification.image_label import ImageLabel
from detkit.data.classification.label_csv import read_image_labels
from detkit.data.formats.class_folder import read_class_folders
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError
from detkit.registry import DATASETS
from detkit.text import did_you_mean


@DATASETS.register_module()
class ClsDataset(BaseDataset):  # type: ignore[misc]  # mmengine has no types
    """Images with one class each.

    ``data_info`` has ``img_path``, ``gt_label`` (int, from 0), ``sample_idx``; and for a crop
    ``box_xyxy`` (four floats, pixels of the upright image).

    Args:
        ann_file: a csv with the columns path and label (the class name), and optionally x1, y1,
            x2, y2; '' for class folders below ``data_prefix["img"]``.
        metainfo: ``classes``, in the order of their labels; required with a csv. Without it,
            class folders are numbered in the order of their names.
        data_root: the folder that ``ann_file`` and ``data_prefix`` are relative to.
        data_prefix: ``img``, the folder that paths are relative to.
        kwargs: as in mmengine's ``BaseDataset``.

    Raises:
        DataError: the csv or folder is missing or empty, or a label is not a class.
    """

    def __init__(
        self,
        ann_file: str = "",
        metainfo: dict[str, Any] | None = None,
        data_root: str = "",
        data_prefix: dict[str, str] = {"img": ""},  # noqa: B006  mmengine copies it
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file=ann_file, metainfo=metainfo, data_root=data_root,
                         data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the csv, or list the class folders."""
        folder = self.data_prefix.get("img", "")
        classes = self._metainfo.get("classes")
        if self.ann_file:
            source = str(self.ann_file)
            if not classes:
                raise DataError(f"{source}: the dataset has no metainfo with its classes",
                                hint="set metainfo=dict(classes=('first', 'second', ...))")
            records: Iterator[ImageLabel] = read_image_labels(Path(source))
        else:
            source = str(folder)
            records, folder_classes = _list_class_folders(source)
            classes = classes or folder_classes
        self._metainfo["classes"] = tuple(classes)
        class_to_idx = {name: label for label, name in enumerate(classes)}
        data_list = []
        for record in records:
            if record.label not in class_to_idx:
                raise _unknown_label_error(source, record, classes)
            data_info = {
                "img_path": os.path.join(folder, record.path),
                "gt_label": class_to_idx[record.label]
            }
            if record.box is not None:
                data_info["box_xyxy"] = list(record.box)
            data_list.append(data_info)
        if not data_list:
            raise DataError(f"{source}: it lists no image" if self.ann_file
                            else f"{source}: none of its class folders holds an image")
        return data_list

    def get_cat_ids(self, idx: int) -> list[int]:
        """The label of a sample in a list, as mmdet's samplers expect."""
        return [int(self.get_data_info(idx)["gt_label"])]

    def get_gt_labels(self) -> NDArray[np.int64]:
        """(N,) int64, the labels of all samples in order."""
        return np.array([self.get_data_info(idx)["gt_label"] for idx in range(len(self))], np.int64)


def _list_class_folders(folder: str) -> tuple[Iterator[ImageLabel], tuple[str, ...]]:
    if not folder or not os.path.isdir(folder):
        raise DataError(f"'{folder}': no such folder", expected="a folder of class folders",
                        hint="set data_prefix=dict(img=...) of the dataset, or ann_file to a csv")
    raw = read_class_folders(Path(folder), "data", Ledger())
    return iter(raw.records), tuple(sorted(set(raw.classes)))


def _unknown_label_error(source: str, record: ImageLabel, classes: Sequence[str]) -> DataError:
    line = f", line {record.line}" if record.line else ""
    return DataError(f"{source}{line}: '{record.path}' has the label '{record.label}', which is "
                     f"not among the {len(classes)} classes{did_you_mean(record.label, classes)}")
