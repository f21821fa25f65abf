"""The datasets that a config names: wrappers opened, and the files that they read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict

from detkit.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


def inner_datasets(dataset: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return (key, config) of the datasets that a wrapper repeats, mixes or concatenates.

    A dataset that is no wrapper has none. A key is ``dataset`` or ``datasets[0]``.
    """
    inner: list[tuple[str, Any]] = []
    for name in ("dataset", "datasets"):
        value = dataset.get(name)
        if isinstance(value, (list, tuple)):
            inner += [(f"{name}[{index}]", item) for index, item in enumerate(value)]
        else:
            inner.append((name, value))
    return [(key, item) for key, item in inner if isinstance(item, Mapping)]


def iter_datasets(dataset: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and the config of ``dataset`` and of every dataset inside it."""
    if isinstance(dataset, Mapping):
        yield path, dataset
        for key, item in inner_datasets(dataset):
            yield from iter_datasets(item, f"{path}.{key}")


def unwrap_dataset(dataset: Any) -> Iterator[Any]:
    """Yield ``dataset``, the dataset that it wraps, and so on; of concatenated ones the first."""
    while isinstance(dataset, Mapping):
        yield dataset
        dataset = next((item for _, item in inner_datasets(dataset)), None)


def iter_split_datasets(cfg: Mapping[str, Any], splits: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield the path and the config of every dataset in the dataloaders of ``splits``."""
    for split in splits:
        loader = cfg.get(f"{split}_dataloader")
        if isinstance(loader, Mapping):
            for key, dataset in inner_datasets(loader):
                yield from iter_datasets(dataset, f"{split}_dataloader.{key}")


def replace_innermost_dataset(
    dataset: Mapping[str, Any], make_dataset: Callable[[Mapping[str, Any]], ConfigDict], path: str
) -> ConfigDict:
    """Return the wrappers of ``dataset`` around another dataset.

    Args:
        dataset: its config.
        make_dataset: returns the new innermost dataset for the old one. Concatenated datasets are
            replaced by one, made from the first.
        path: of ``dataset`` in the config, for messages.

    Raises:
        ConfigError: the innermost dataset has no pipeline.
    """
    inner = inner_datasets(dataset)
    if inner:
        key, first = inner[0]
        updated = replace_innermost_dataset(first, make_dataset, f"{path}.{key}")
        if key == "dataset":
            return ConfigDict({**dataset, "dataset": updated})
        logger.info("%s: one dataset replaces the %d concatenated ones", path, len(inner))
        return updated
    if "pipeline" not in dataset:
        raise ConfigError(f"{path} has no pipeline", expected="a pipeline that loads the data")
    return make_dataset(dataset)


def dataset_files(dataset: Mapping[str, Any]) -> tuple[Path | None, Path]:
    """Return the annotation file and the image folder of a dataset.

    The annotation file is None if there is none or it is a URL.
    """
    root = str(dataset.get("data_root") or "")
    prefix = dataset.get("data_prefix") or {}
    folder = Path(root, str((prefix if isinstance(prefix, str) else prefix.get("img")) or ""))
    annotation_file = str(dataset.get("ann_file") or "")
    if not annotation_file or "://" in root + annotation_file:
        return None, folder
    return Path(root, annotation_file), folder


def raise_missing_files(missing: Iterable[tuple[Path, str]]) -> None:
    """Raise for files that a config names and that do not exist.

    Args:
        missing: each with the path of its dataset in the config.

    Raises:
        DataError: there is one.
    """
    files = ", ".join(dict.fromkeys(f"{file} ({path})" for file, path in missing))
    if files:
        raise DataError(f"the config's dataset files do not exist: {files}",
                        hint="pass --data FOLDER (or --data sample) to use other data")
