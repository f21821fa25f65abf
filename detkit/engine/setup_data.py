"""The data of a run: read, checked once, and put into its config."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

from mmengine.config import Config

from detkit.config.data.cls_dataset_check import (
    check_cls_datasets,
    class_counts,
    set_metainfo_classes,
)
from detkit.config.data.dataset_check import check_coco_datasets, get_resize_steps_by_split
from detkit.config.data.mixing_check import cached_mixing_steps, check_mixing
from detkit.config.data.override_datasets import override_cls_datasets, override_datasets
from detkit.config.error_source import config_error_context
from detkit.config.infer.infer_classifier_fields import needs_class_counts
from detkit.config.infer.infer_fields import get_config_classes
from detkit.config.task import is_classifier
from detkit.data.detection.options import DATA_OPTIONS_KEY, DataOptions, parse_data_options
from detkit.engine.distributed import run_on_main_process
from detkit.errors import DataError
from detkit.text import list_names

if TYPE_CHECKING:
    from detkit.data.detection.load_detection_data import DetectionData

logger = logging.getLogger(__name__)

# The class names in the order of the labels, and the number of training images of each class;
# each None if not known.
_Classes = tuple[Union[list[str], None], Union[list[int], None]]


def setup_data(
    cfg: Config,
    data: str | None,
    folder: Path,
    training: bool,
    checkpoint_classes: Sequence[str] | None = None,
) -> tuple[Config, list[str] | None, list[int] | None]:
    """Read and check the data of a run, and point the datasets of the config at it.

    Args:
        cfg: the config of the run; not changed.
        data: the value of ``--data``; None uses the datasets of the config.
        folder: the work dir, where the checked annotation files are written.
        training: False if only the test split is used.
        checkpoint_classes: the classes of the checkpoint to be tested.

    Returns:
        The config with the data; the class names in the order of the labels; the number of
        training images of each class of a classifier. Names and counts are None if not known.

    Raises:
        DetkitError: the data is invalid, or contradicts the config.
    """
    cfg = copy.deepcopy(cfg)
    with config_error_context(cfg, "reading the data"):
        options = parse_data_options(cfg.get(DATA_OPTIONS_KEY))
        if data is None and options not in (DataOptions(), DataOptions(box_format="xywh")):
            logger.warning("%s has no effect without --data: the files of the config are read as "
                           "they are", DATA_OPTIONS_KEY)
        if training:
            check_mixing(cfg, has_masks=data is None)
            cached = list_names(cached_mixing_steps(cfg)) if cfg.get("resume") else ""
            if cached:
                logger.warning("%s: the cache of images is not in the checkpoint, so this run will "
                               "mix other images than without the interruption; Mosaic and MixUp "
                               "resume exactly", cached)
        setup = _setup_cls_data if is_classifier(cfg) else _setup_detection_data
        classes, class_counts = setup(cfg, data, folder, training, checkpoint_classes, options)
    return cfg, classes, class_counts


def check_same_classes(
    classes: Sequence[str] | None, checkpoint_classes: Sequence[str] | None, checkpoint: str | Path
) -> None:
    """Check that the data has the classes of the checkpoint, in the same order.

    Args:
        classes: the classes of the data; None if not known.
        checkpoint_classes: the classes of the checkpoint; None if it has none.
        checkpoint: its file, for the message.

    Raises:
        DataError: the names or their order differ.
    """
    if classes is None or checkpoint_classes is None or list(classes) == list(checkpoint_classes):
        return
    raise DataError(f"the data's classes are not those of {checkpoint}",
                    got=list_names(map(repr, classes)),
                    expected=list_names(map(repr, checkpoint_classes)),
                    hint="use the data, or the metainfo.classes, that it was trained with")


def _setup_detection_data(
    cfg: Config, data: str | None, folder: Path, training: bool,
    checkpoint_classes: Sequence[str] | None, options: DataOptions,
) -> _Classes:
    if data is None:
        run_on_main_process(lambda: check_coco_datasets(cfg, _splits(training)))
        return get_config_classes(cfg), None
    loaded = run_on_main_process(
        lambda: _load_detection_data(cfg, data, folder, training, checkpoint_classes, options))
    override_datasets(cfg, loaded)
    return list(loaded.classes), None


def _setup_cls_data(
    cfg: Config, data: str | None, folder: Path, training: bool,
    checkpoint_classes: Sequence[str] | None, options: DataOptions,
) -> _Classes:
    if data is None:
        if checkpoint_classes is not None:
            set_metainfo_classes(cfg, checkpoint_classes)
        classes = run_on_main_process(lambda: check_cls_datasets(cfg, _splits(training)))
        set_metainfo_classes(cfg, classes)
        counts = None
        if training and needs_class_counts(cfg):
            counts = run_on_main_process(lambda: class_counts(cfg, classes))
        return classes, counts
    from detkit.data.classification.load_classification_data import load_classification_data

    loaded = run_on_main_process(lambda: load_classification_data(
        data, folder, classes=checkpoint_classes, require_train=training, options=options))
    override_cls_datasets(cfg, loaded)
    counts = list(loaded.splits["train"].counts) if "train" in loaded.splits else None
    return list(loaded.classes), counts


def _load_detection_data(
    cfg: Config, data: str, folder: Path, training: bool, checkpoint_classes: Sequence[str] | None,
    options: DataOptions,
) -> DetectionData:
    from detkit.data.detection.load_detection_data import load_detection_data

    try:
        return load_detection_data(data, folder, classes=checkpoint_classes, require_train=training,
                                   resizes=get_resize_steps_by_split(cfg), options=options)
    except DataError as error:
        if not _is_classification_data(data, folder):
            raise
        hint = ("images with class labels and without boxes train a classifier, such as "
                "configs/classify_efficientnet_lite0.py")
        raise DataError(error.message, got=error.got, expected=error.expected, hint=hint) from error


def _is_classification_data(data: str, folder: Path) -> bool:
    """Whether ``data`` is a csv file of images, or a folder of class folders."""
    from detkit.data.formats.class_format_detection import detect_classification_format

    root = Path(data).expanduser()
    try:
        if not root.exists():
            return False
        return detect_classification_format(root, folder).format in ("folder", "csv")
    except (DataError, OSError):
        return False


def _splits(training: bool) -> tuple[str, ...]:
    return ("train", "val", "test") if training else ("test",)
