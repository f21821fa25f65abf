"""The test pipeline that a checkpoint's config carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit.config.data.datasets import unwrap_dataset
from detkit.config.validate.file_config import PIPELINE_KEY, ensure_safe_pipeline
from detkit.errors import ConfigError


def get_test_pipeline_cfg(cfg: Mapping[str, Any],
                          origin: str = "the checkpoint") -> list[dict[str, Any]]:
    """The test pipeline that a config carries, wrappers such as RepeatDataset opened.

    Its steps are checked: they may be built.

    Raises:
        ConfigError: there is none.
        WeightsError: a step is none of those that are built from numbers and texts alone.
    """
    pipeline = find_test_pipeline(cfg)
    if pipeline is None:
        raise ConfigError(
            "the checkpoint's config has no test pipeline",
            expected=PIPELINE_KEY,
            hint="use a checkpoint that was trained with a test_dataloader in its config",
        )
    ensure_safe_pipeline(pipeline, origin)
    return pipeline


def find_test_pipeline(cfg: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The steps as the config writes them, unchecked; None where it has no list of dicts there."""
    loader: Any = cfg.get("test_dataloader")
    datasets = unwrap_dataset(loader.get("dataset")) if isinstance(loader, Mapping) else ()
    pipeline = next((dataset["pipeline"] for dataset in datasets if "pipeline" in dataset),
                    cfg.get("test_pipeline"))
    if not isinstance(pipeline, (list, tuple)) or not pipeline:
        return None
    if not all(isinstance(step, Mapping) for step in pipeline):
        return None
    return [dict(step) for step in pipeline]
