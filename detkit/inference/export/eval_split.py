"""The images that an export evaluates and calibrates with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from numpy.typing import NDArray

from detkit.config.data.dataset_check import check_coco_datasets, get_resize_steps_by_split
from detkit.config.data.datasets import unwrap_dataset
from detkit.config.data.override_datasets import override_datasets
from detkit.config.validate.embedded_config import ensure_safe_dataset
from detkit.data.images.read_image import read_image
from detkit.errors import ConfigError, DataError, ExportError, format_error
from detkit.registry import DATASETS, get_default_scope

DATA_HINT = "name its folder by --data"


@dataclass(frozen=True)
class ImageRecord:
    """One image of a dataset.

    Args:
        path: its file.
        image_id: its id in the annotation file.
        size_hw: height and width from the annotation file.
    """

    path: Path
    image_id: Any
    size_hw: tuple[int, int]

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        return read_image(self.path)


@dataclass(frozen=True)
class EvalSplit:
    """A split of a dataset.

    Args:
        annotation_file: in COCO format.
        records: all images, in the file's order.
    """

    annotation_file: Path
    records: tuple[ImageRecord, ...]

    def subsample(self, count: int) -> Iterator[ImageRecord]:
        """At most ``count`` of the images, evenly spaced."""
        chosen = np.linspace(0, len(self.records) - 1, min(count, len(self.records)))
        return (self.records[int(round(index))] for index in chosen)


def configure_data(cfg: Config, data: str | None, work_dir: Path, classes: tuple[str, ...]) -> None:
    """Set the datasets of a checkpoint's config to ``data``, or check that the config's exist.

    Args:
        cfg: the checkpoint's config; changed in place.
        data: a folder of images and annotations, or 'sample'; None for the config's datasets.
        work_dir: a folder for files that the data check writes.
        classes: the checkpoint's classes.

    Raises:
        DetkitError: the data cannot be used.
    """
    if data is not None:
        from detkit.data.detection.load_detection_data import load_detection_data
        from detkit.data.detection.options import DATA_OPTIONS_KEY, DataOptions, parse_data_options

        # The options of the training data need not apply to other data.
        options = parse_data_options(cfg.get(DATA_OPTIONS_KEY)) if _is_training_data(
            cfg, data) else DataOptions()
        loaded = load_detection_data(data, work_dir, classes=classes, require_train=False,
                                     resizes=get_resize_steps_by_split(cfg), options=options)
        if "train" in loaded.splits and not cfg.get("train_dataloader"):
            # A config without training: calibration images are loaded as validation images.
            cfg.train_dataloader = copy.deepcopy(cfg[f"{get_val_split(cfg)}_dataloader"])
        override_datasets(cfg, loaded)
        return
    try:
        check_coco_datasets(cfg, (get_val_split(cfg),))
    except DataError as error:
        raise ExportError(
            "the checkpoint's validation data cannot be used, and an engine is not evaluated "
            f"without data ({error.message})", hint=DATA_HINT) from error


def _is_training_data(cfg: Config, data: str) -> bool:
    """Whether ``data`` is the folder of the config's images, or one above it."""
    root = Path(data).expanduser().resolve()
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader")
        if loader:
            dataset = _unwrap_dataset(loader["dataset"])
            prefix = (dataset.get("data_prefix") or {}).get("img") or ""
            folder = Path(str(dataset.get("data_root") or ""), str(prefix)).resolve()
            if folder == root or root in folder.parents:
                return True
    return False


def get_val_split(cfg: Mapping[str, Any]) -> str:
    """'val', or 'test' if the config has no validation data.

    Raises:
        ExportError: the config has neither.
    """
    for split in ("val", "test"):
        if cfg.get(f"{split}_dataloader"):
            return split
    raise ExportError("the checkpoint's config has no validation data", hint=DATA_HINT)


def load_split(cfg: Config, split: str) -> EvalSplit:
    """Load the image records of a split of ``cfg``.

    Raises:
        ExportError: the config has no such split, or its dataset has no images or is not in COCO
            format.
        WeightsError: its dataset would read other files than an annotation file.
    """
    loader = cfg.get(f"{split}_dataloader")
    if not loader:
        raise ExportError(f"the checkpoint's config has no {split} data", hint=DATA_HINT)
    # The pipeline is not run: only the annotation file is read, from the local disk.
    dataset_cfg = {**_unwrap_dataset(loader["dataset"]), "pipeline": [], "backend_args": None}
    scope = get_default_scope(cfg)
    ensure_safe_dataset(dataset_cfg, f"{split}_dataloader.dataset", scope)
    with DefaultScope.overwrite_default_scope(scope):
        try:
            dataset = DATASETS.build(dataset_cfg)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{split}_dataloader.dataset cannot be built",
                              got=format_error(error), hint=DATA_HINT) from error
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not infos:
        raise ExportError(f"the {split} data has no images", hint=DATA_HINT)
    if "height" not in infos[0] or "img_id" not in infos[0]:
        raise ExportError(f"the {split} data", got=type(dataset).__name__,
                          expected="annotations in COCO format", hint=DATA_HINT)
    loaded = tuple(
        ImageRecord(
            Path(info["img_path"]), info["img_id"], (int(info["height"]), int(info["width"]))
        )
        for info in infos
    )
    return EvalSplit(Path(dataset.ann_file), loaded)


def _unwrap_dataset(dataset: Any) -> dict[str, Any]:
    """The data set itself, of several the first, without those that repeat or mix it."""
    datasets = list(unwrap_dataset(dataset))
    if not datasets:
        raise ExportError("the checkpoint's config has no dataset", got=repr(dataset)[:80],
                          hint=DATA_HINT)
    return dict(next((item for item in datasets if "pipeline" in item), datasets[-1]))
