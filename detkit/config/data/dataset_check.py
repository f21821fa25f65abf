"""The data that a config itself names: there, and checked, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from detkit import registry as detkit_registry
from detkit.config.infer.infer_fields import get_dataset_classes
from detkit.errors import DataError

if TYPE_CHECKING:
    from detkit.data.images.thin_images import ResizeStep

_COCO_DATASETS = ("CocoDataset", "mmdet.CocoDataset")


def check_coco_datasets(cfg: Config, splits: tuple[str, ...]) -> None:
    """Check each COCO dataset that ``cfg`` names for ``splits``.

    Raises:
        DataError: an annotation file is not there, or a fault cannot be left as it is.
    """
    from detkit.data.detection.annotation_check import check_coco
    from detkit.data.detection.options import DATA_OPTIONS_KEY, parse_data_options

    options = parse_data_options(cfg.get(DATA_OPTIONS_KEY))
    scope = str(cfg.get("default_scope") or detkit_registry.SCOPE)
    missing = []
    checked: set[tuple[str, str]] = set()
    resizes = get_resize_steps_by_split(cfg)
    datasets = [
        item for split in splits
        for item in _datasets(cfg.get(f"{split}_dataloader"), f"{split}_dataloader")
    ]
    for path, dataset in datasets:
        annotations, images = _dataset_files(dataset)
        if annotations is None or (str(annotations), str(images)) in checked:
            continue
        checked.add((str(annotations), str(images)))
        if not annotations.is_file():
            missing.append(f"{annotations} ({path})")
        elif dataset.get("type") in _COCO_DATASETS:
            # Without metainfo mmdet takes COCO's own 80 and drops all other boxes in silence;
            # classes that the config states are meant, be they a part of the file's.
            ledger = check_coco(annotations, images, get_dataset_classes(dataset, scope),
                                resizes[path.partition("_")[0]],
                                allow_other_classes=_has_metainfo_classes(dataset),
                                box_format=options.box_format_for(path.partition("_")[0]))
            ledger.log()
            ledger.raise_errors(
                f"mend the file, put its classes into {path}.metainfo, or pass its folder as "
                "--data, which takes its classes and writes a mended copy"
            )
    if missing:
        raise DataError(
            f"the config's annotation files are not there: {', '.join(missing)}",
            hint="pass --data FOLDER (or --data sample) to use other data with this config",
        )


def get_resize_steps_by_split(cfg: Config) -> dict[str, list[ResizeStep]]:
    """The resizing steps of the pipelines that read each split; val and test are read by both's.

    One list of images stands in for the other where a data set lacks one of the two.
    """
    from detkit.data.images.thin_images import resize_steps

    eval_steps = list(resize_steps([cfg.get("val_dataloader"), cfg.get("test_dataloader")]))
    train_steps = list(resize_steps([cfg.get("train_dataloader"), cfg.get("custom_hooks")]))
    return {"train": train_steps, "val": eval_steps, "test": eval_steps}


def _has_metainfo_classes(dataset: Mapping[str, Any]) -> bool:
    metainfo = dataset.get("metainfo")
    return isinstance(metainfo, Mapping) and bool(metainfo.get("classes"))


def _datasets(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if "ann_file" in value and "type" in value:
            yield path, value
        for name in ("dataset", "datasets"):
            if name in value:
                yield from _datasets(value[name], f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _datasets(item, f"{path}[{index}]")


def _dataset_files(dataset: Mapping[str, Any]) -> tuple[Path | None, Path]:
    root = str(dataset.get("data_root") or "")
    prefix = (dataset.get("data_prefix") or {}).get("img", "")
    annotations = dataset.get("ann_file")
    if not annotations or "://" in str(annotations) or "://" in root:
        return None, Path(root, prefix)
    return Path(root, str(annotations)), Path(root, prefix)
