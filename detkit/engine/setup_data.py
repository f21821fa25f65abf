"""The data of a run: opened or found, checked once, put into the config, and learnt from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config

from detkit.config.data.cls_dataset_check import (
    check_own_class_data,
    give_classes,
    own_class_counts,
    some_names,
)
from detkit.config.data.dataset_check import check_own_data, pipeline_resizes
from detkit.config.data.override_cls_datasets import apply_class_data
from detkit.config.data.override_datasets import apply_data
from detkit.config.infer.infer_classifier_fields import wants_class_counts
from detkit.config.infer.infer_fields import data_classes, derive
from detkit.config.task import is_classifier
from detkit.data.detection.options import KEY, DataOptions, read_options
from detkit.engine.main_process import run_on_main_process
from detkit.errors import DataError

if TYPE_CHECKING:
    from detkit.data.detection.load_detection_data import DetectionData

logger = logging.getLogger(__name__)


def take_data(
    cfg: Config,
    data: str | None,
    folder: Path,
    training: bool,
    known: Sequence[str] | None = None,
) -> list[str] | None:
    """Put the data into ``cfg``, checked, and derive what follows from it.

    Args:
        cfg: changed in place.
        data: what ``--data`` names; None for what the config names.
        folder: the work dir, where cleaned lists are written.
        training: False when only the test split is used.
        known: the classes of the checkpoint that is tested.

    Returns:
        the data's class names, in the order of the labels; None when they are not known.

    Raises:
        DetkitError: the data cannot be used, or contradicts the config.
    """
    options = read_options(cfg.get(KEY))
    if data is None and options not in (DataOptions(), DataOptions(box_format="xywh")):
        logger.warning("%s is for what --data names; the config's own files are read as they are",
                       KEY)
    if is_classifier(cfg):
        return _take_class_data(cfg, data, folder, training, known, options)
    if data is None:
        run_on_main_process(lambda: check_own_data(cfg, _splits(training)))
        classes = data_classes(cfg)
    else:
        found = run_on_main_process(
            lambda: _open_boxes(cfg, data, folder, training, known, options)
        )
        apply_data(cfg, found)
        classes = list(found.classes)
    derive(cfg, classes)
    return classes


def refuse_other_classes(
    classes: Sequence[str] | None, known: Sequence[str] | None, checkpoint: str | Path
) -> None:
    """Refuse data of other classes than those of the checkpoint that is to be used with it.

    Args:
        classes: the data's; None when not known.
        known: the checkpoint's; None when it does not say them.
        checkpoint: its file, for the message.

    Raises:
        DataError: they differ, in names or in order.
    """
    if classes is None or known is None or list(classes) == list(known):
        return
    raise DataError(
        f"the data's classes are not those of {checkpoint}", got=some_names(classes),
        expected=some_names(known), do="use the data, or the metainfo.classes, that it was "
        "trained with",
    )


def _take_class_data(
    cfg: Config, data: str | None, folder: Path, training: bool, known: Sequence[str] | None,
    options: DataOptions,
) -> list[str] | None:
    if data is None:
        if known is not None:
            give_classes(cfg, known)
        classes = run_on_main_process(lambda: check_own_class_data(cfg, _splits(training)))
        give_classes(cfg, classes)
        counts = None
        if training and wants_class_counts(cfg):
            counts = run_on_main_process(lambda: own_class_counts(cfg, classes))
    else:
        from detkit.data.classification.load_classification_data import open_class_data

        found = run_on_main_process(
            lambda: open_class_data(data, folder, classes=known, need_train=training,
                                    options=options)
        )
        apply_class_data(cfg, found)
        classes = list(found.classes)
        counts = list(found.splits["train"].counts) if "train" in found.splits else None
    derive(cfg, classes, counts)
    return classes


def _open_boxes(
    cfg: Config, data: str, folder: Path, training: bool, known: Sequence[str] | None,
    options: DataOptions = DataOptions(),
) -> DetectionData:
    from detkit.data.detection.load_detection_data import open_data

    try:
        return open_data(data, folder, classes=known, need_train=training,
                         resizes=pipeline_resizes(cfg), options=options)
    except DataError as error:
        if not _is_for_classifiers(data, folder):
            raise
        hint = ("pictures that have classes and no boxes train a classifier, such as "
                "configs/classify_swin_nano.py")
        raise DataError(error.what, got=error.got, expected=error.expected, do=hint) from error


def _is_for_classifiers(data: str, folder: Path) -> bool:
    """Whether ``data`` is a csv of pictures, or a folder of class folders."""
    from detkit.data.formats.class_format_detection import look_for_classes

    root = Path(data).expanduser()
    try:
        return root.exists() and look_for_classes(root, folder).form in ("folder", "csv")
    except (DataError, OSError):
        return False


def _splits(training: bool) -> tuple[str, ...]:
    return ("train", "val", "test") if training else ("test",)
