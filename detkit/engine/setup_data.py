"""The data of a run: opened or found, checked once, put into the config, and learnt from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import Config

from detkit.config.data.cls_dataset_check import (
    check_cls_datasets,
    class_counts,
    set_metainfo_classes,
)
from detkit.config.data.dataset_check import check_coco_datasets, get_resize_steps_by_split
from detkit.config.data.override_datasets import override_cls_datasets, override_datasets
from detkit.config.infer.infer_classifier_fields import needs_class_counts
from detkit.config.infer.infer_fields import get_config_classes, infer_fields
from detkit.config.task import is_classifier
from detkit.data.detection.options import DATA_OPTIONS_KEY, DataOptions, parse_data_options
from detkit.engine.main_process import run_on_main_process
from detkit.errors import DataError
from detkit.text import list_names

if TYPE_CHECKING:
    from detkit.data.detection.load_detection_data import DetectionData

logger = logging.getLogger(__name__)


def setup_data(
    cfg: Config,
    data: str | None,
    folder: Path,
    training: bool,
    checkpoint_classes: Sequence[str] | None = None,
) -> list[str] | None:
    """Put the data into ``cfg``, checked, and derive what follows from it.

    Args:
        cfg: changed in place.
        data: what ``--data`` names; None for what the config names.
        folder: the work dir, where cleaned lists are written.
        training: False when only the test split is used.
        checkpoint_classes: the classes of the checkpoint that is tested.

    Returns:
        the data's class names, in the order of the labels; None when they are not known.

    Raises:
        DetkitError: the data cannot be used, or contradicts the config.
    """
    options = parse_data_options(cfg.get(DATA_OPTIONS_KEY))
    if data is None and options not in (DataOptions(), DataOptions(box_format="xywh")):
        logger.warning("%s is for what --data names; the config's own files are read as they are",
                       DATA_OPTIONS_KEY)
    if is_classifier(cfg):
        return _setup_cls_data(cfg, data, folder, training, checkpoint_classes, options)
    if data is None:
        run_on_main_process(lambda: check_coco_datasets(cfg, _splits(training)))
        classes = get_config_classes(cfg)
    else:
        loaded = run_on_main_process(
            lambda: _open_detection_data(cfg, data, folder, training, checkpoint_classes, options)
        )
        override_datasets(cfg, loaded)
        classes = list(loaded.classes)
    infer_fields(cfg, classes)
    return classes


def check_same_classes(
    classes: Sequence[str] | None, checkpoint_classes: Sequence[str] | None, checkpoint: str | Path
) -> None:
    """Refuse data of other classes than those of the checkpoint that is to be used with it.

    Args:
        classes: the data's; None when not known.
        checkpoint_classes: the checkpoint's; None when it does not say them.
        checkpoint: its file, for the message.

    Raises:
        DataError: they differ, in names or in order.
    """
    if classes is None or checkpoint_classes is None or list(classes) == list(checkpoint_classes):
        return
    raise DataError(f"the data's classes are not those of {checkpoint}",
                    got=list_names(map(repr, classes)),
                    expected=list_names(map(repr, checkpoint_classes)),
                    hint="use the data, or the metainfo.classes, that it was "
                    "trained with",
                    )


def _setup_cls_data(cfg: Config, data: str | None, folder: Path, training: bool,
                    checkpoint_classes: Sequence[str] | None, options: DataOptions,
                    ) -> list[str] | None:
    if data is None:
        if checkpoint_classes is not None:
            set_metainfo_classes(cfg, checkpoint_classes)
        classes = run_on_main_process(lambda: check_cls_datasets(cfg, _splits(training)))
        set_metainfo_classes(cfg, classes)
        counts = None
        if training and needs_class_counts(cfg):
            counts = run_on_main_process(lambda: class_counts(cfg, classes))
    else:
        from detkit.data.classification.load_classification_data import load_classification_data

        loaded = run_on_main_process(lambda: load_classification_data(
            data, folder, classes=checkpoint_classes, require_train=training, options=options))
        override_cls_datasets(cfg, loaded)
        classes = list(loaded.classes)
        counts = list(loaded.splits["train"].counts) if "train" in loaded.splits else None
    infer_fields(cfg, classes, counts)
    return classes


def _open_detection_data(
    cfg: Config, data: str, folder: Path, training: bool, checkpoint_classes: Sequence[str] | None,
    options: DataOptions = DataOptions(),
) -> DetectionData:
    from detkit.data.detection.load_detection_data import load_detection_data

    try:
        return load_detection_data(data, folder, classes=checkpoint_classes, require_train=training,
                                   resizes=get_resize_steps_by_split(cfg), options=options)
    except DataError as error:
        if not _is_classification_data(data, folder):
            raise
        hint = ("pictures that have classes and no boxes train a classifier, such as "
                "configs/classify_swin_nano.py")
        raise DataError(error.message, got=error.got, expected=error.expected, hint=hint) from error


def _is_classification_data(data: str, folder: Path) -> bool:
    """Whether ``data`` is a csv of pictures, or a folder of class folders."""
    from detkit.data.formats.class_format_detection import detect_classification_format

    root = Path(data).expanduser()
    try:
        return root.exists() and detect_classification_format(root,
                                                              folder).format in ("folder", "csv")
    except (DataError, OSError):
        return False


def _splits(training: bool) -> tuple[str, ...]:
    return ("train", "val", "test") if training else ("test",)
