"""Check the COCO datasets that a config names, before training or testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from detkit.config.data.datasets import dataset_files, iter_split_datasets, raise_missing_files
from detkit.config.infer.infer_fields import get_dataset_classes
from detkit.config.validate.registry_lookup import resolve_class
from detkit.registry import DATASETS, get_default_scope

if TYPE_CHECKING:
    from detkit.data.images.thin_images import ResizeStep


def check_coco_datasets(cfg: Config, splits: Sequence[str]) -> None:
    """Check each COCO dataset that ``cfg`` names for ``splits``.

    Of datasets in other formats, only the existence of the annotation file is checked.

    Raises:
        DataError: an annotation file does not exist, or has an error that cannot be ignored.
    """
    from mmdet.datasets import CocoDataset

    from detkit.data.detection.annotation_check import check_coco
    from detkit.data.detection.options import DATA_OPTIONS_KEY, parse_data_options

    options = parse_data_options(cfg.get(DATA_OPTIONS_KEY))
    scope = get_default_scope(cfg)
    resizes = get_resize_steps_by_split(cfg)
    missing = []
    checked = set()
    for path, dataset in iter_split_datasets(cfg, splits):
        annotation_file, image_dir = files = dataset_files(dataset)
        if "type" not in dataset or annotation_file is None or files in checked:
            continue
        checked.add(files)
        if not annotation_file.is_file():
            missing.append((annotation_file, path))
        elif resolve_class(dataset, DATASETS, scope) is CocoDataset:
            split = path.partition("_")[0]
            # Without metainfo mmdet uses COCO's 80 classes and drops all other boxes without a
            # message. Classes stated in the config may be a subset of the file's on purpose.
            ledger = check_coco(annotation_file, image_dir, get_dataset_classes(dataset, scope),
                                resizes[split],
                                allow_other_classes=_has_metainfo_classes(dataset),
                                box_format=options.box_format_for(split))
            ledger.log()
            ledger.raise_errors(
                f"correct the file, put its classes into {path}.metainfo, or pass its folder as "
                "--data, which uses its classes and writes a corrected copy"
            )
    raise_missing_files(missing)


def get_resize_steps_by_split(cfg: Config) -> dict[str, list[ResizeStep]]:
    """Return the resize steps of the pipelines that read each split.

    'val' and 'test' have the steps of both: a dataset without one of them uses the other twice.
    """
    from detkit.data.images.thin_images import resize_steps

    eval_steps = list(resize_steps([cfg.get("val_dataloader"), cfg.get("test_dataloader")]))
    train_steps = list(resize_steps([cfg.get("train_dataloader"), cfg.get("custom_hooks")]))
    return {"train": train_steps, "val": eval_steps, "test": eval_steps}


def _has_metainfo_classes(dataset: Mapping[str, Any]) -> bool:
    metainfo = dataset.get("metainfo")
    return isinstance(metainfo, Mapping) and bool(metainfo.get("classes"))
