"""Parameters and multiply-adds of the model of a config, by module."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from detkit.analysis.complexity.counted_run import run_and_count
from detkit.analysis.complexity.input_size import get_test_size
from detkit.analysis.complexity.model_parts import Complexity, aggregate_complexity
from detkit.config.error_source import config_error_context
from detkit.config.infer.infer_fields import get_config_classes, infer_fields
from detkit.config.load_config import load_config
from detkit.config.task import is_classifier
from detkit.config.validate.embedded_config import remove_pretrained_sources
from detkit.errors import ConfigError

IMAGENET_NUM_CLASSES = 1000


def get_model_complexity(
    config: str | Path,
    *,
    size: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Complexity:
    """Count the parameters and the multiply-adds of the model of ``config``.

    A multiply-add counts as one FLOP, as in papers. Reads no data and no weights. RoI heads are
    counted at ``test_cfg.rpn.max_per_img`` proposals, mask heads at ``test_cfg.rcnn.max_per_img``
    detections. A classifier without a number of classes is counted with ImageNet's 1000. NMS and
    interpolation are not counted.

    Args:
        config: a config file.
        size: height and width of the input in pixels; None for the config's test-time size.
        options: overrides of the config, by dotted key.

    Raises:
        ConfigError: the config is invalid, has no model or no test-time size; or its model cannot
            be built or run, or needs real tensors at too large a size.

    Source: agrees with mmengine.analysis on convolutions, linear layers and matrix products.
    """
    with redirect_stdout(sys.stderr):
        cfg = load_config(config, options)
        if not isinstance(cfg.get("model"), Mapping):
            raise ConfigError(f"{config} has no model")
        remove_pretrained_sources(cfg.model)
        if cfg.get("data_preprocessor") is not None:
            cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
        with config_error_context(cfg, "reading the config"):
            classes = get_config_classes(cfg)
            num_classes = len(classes) if classes is not None else None
            assumed = is_classifier(cfg) and _set_default_num_classes(
                cfg.model.get("head"), num_classes
            )
            infer_fields(cfg, classes)
            size = size or get_test_size(cfg)
        model, counts, ran_on = run_and_count(cfg, size)
        if num_classes is None and is_classifier(cfg):
            num_classes = cfg.model.head.get("num_classes")
        return replace(aggregate_complexity(model, counts, size, num_classes, ran_on),
                       classes_assumed=assumed)


def _set_default_num_classes(head: Any, num_classes: int | None) -> bool:
    """Set ImageNet's number of classes in a classifier's head where none is given."""
    if num_classes is not None or not isinstance(head,
                                                 Mapping) or head.get("num_classes") is not None:
        return False
    head["num_classes"] = IMAGENET_NUM_CLASSES  # type: ignore[index]
    return True
