"""The test pipeline in a checkpoint's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detkit.config.data.datasets import unwrap_dataset
from detkit.config.validate.embedded_config import PIPELINE_KEY, ensure_safe_pipeline
from detkit.errors import ConfigError


def get_test_pipeline_cfg(cfg: Mapping[str, Any],
                          origin: str = "the checkpoint") -> list[dict[str, Any]]:
    """Return the test pipeline of a config; its steps are checked and safe to build.

    Raises:
        ConfigError: there is none.
        WeightsError: a step is not on the list of safe transforms.
    """
    pipeline = find_test_pipeline(cfg)
    if pipeline is None:
        raise ConfigError(
            "the checkpoint's config has no test pipeline",
            expected=PIPELINE_KEY,
            hint="use a checkpoint whose config has a test_dataloader",
        )
    ensure_safe_pipeline(pipeline, origin)
    return pipeline


def find_test_pipeline(cfg: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the unchecked steps of the test pipeline; None if it is no list of dicts."""
    loader: Any = cfg.get("test_dataloader")
    datasets = unwrap_dataset(loader.get("dataset")) if isinstance(loader, Mapping) else ()
    pipeline = next((dataset["pipeline"] for dataset in datasets if "pipeline" in dataset),
                    cfg.get("test_pipeline"))
    if not isinstance(pipeline, (list, tuple)) or not pipeline:
        return None
    if not all(isinstance(step, Mapping) for step in pipeline):
        return None
    return [dict(inner) for step in pipeline for inner in _without_cache(step)]


def _without_cache(step: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The steps inside of CachedSteps, which inference runs on images in memory."""
    inner = step.get("transforms")
    is_cached = str(step.get("type")).rpartition(".")[2] == "CachedSteps"
    if is_cached and isinstance(inner, (list, tuple)) and all(isinstance(item, Mapping)
                                                              for item in inner):
        return inner
    return [step]
