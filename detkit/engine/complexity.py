"""How large and how costly the model of a config is: parameters and multiply-adds by part."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from detkit import registry as ours
from detkit.engine.complexity_count import multiply_adds, shapes_alone
from detkit.engine.complexity_forward import forward_once, regions_of
from detkit.engine.complexity_parts import Complexity, summed
from detkit.engine.complexity_size import test_size
from detkit.engine.config import load_config
from detkit.engine.derive import data_classes, derive
from detkit.engine.prepare import without_pretrained
from detkit.errors import ConfigError, DetkitError

logger = logging.getLogger(__name__)

# What works on detections, not on proposals.
_MASKS = "roi_head.mask"
# Where a model is built, and whether it runs on shapes alone or computes: the quickest first.
_WAYS = (("meta", "shapes"), ("cpu", "shapes"), ("cpu", "cpu"))


def measure(
    config: str | Path,
    *,
    size: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Complexity:
    """Count the parameters and the multiply-adds of the model of ``config``.

    One multiply-add counts as one, as papers count FLOPs. Reads no data and no weights. RoI heads
    are counted at ``test_cfg.rpn.max_per_img`` regions, their masks at ``test_cfg.rcnn``'s. NMS
    and interpolation are not counted.

    Args:
        config: a config file.
        size: height and width of the input in pixels; None is what the config tests at.
        options: values over the config's, by dotted key.

    Raises:
        ConfigError: the config is not right, has no model, says no size where ``size`` is None, or
            its model cannot be built or run.

    Source: agrees with mmengine.analysis on convolutions, linear layers and matrix products.
    """
    with redirect_stdout(sys.stderr):
        cfg = load_config(config, options)
        if not isinstance(cfg.get("model"), Mapping):
            raise ConfigError(f"{config} has no model")
        without_pretrained(cfg.model)
        _without_download(cfg.model)
        if cfg.get("data_preprocessor") is not None:
            cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
        classes = data_classes(cfg)
        derive(cfg, classes)
        size = size or test_size(cfg)
        return _measured(cfg, size, len(classes) if classes is not None else None)


def _measured(cfg: Config, size: tuple[int, int], classes: int | None) -> Complexity:
    problem: Exception | None = None
    for build_on, ran_on in _WAYS:
        if ran_on == "cpu":
            logger.warning("%s: its model does not run on shapes alone, so it runs on the CPU",
                           cfg.filename)
        try:
            model = _built(cfg, build_on).eval()
            with shapes_alone(model) if ran_on == "shapes" else nullcontext():
                image = torch.zeros(1, 3, *size)
                with DefaultScope.overwrite_default_scope(_scope(cfg)):
                    counts = _counts(model, image)
        except DetkitError:
            raise
        except Exception as error:
            # Any model, of anyone: what fails on shapes may run on the CPU, and what fails there
            # says why.
            logger.debug("not counted on %s", ran_on, exc_info=error)
            problem = error
            continue
        return summed(model, counts, size, classes, ran_on)
    height, width = size
    said = next(iter(str(problem).splitlines()), "")
    raise ConfigError(
        f"{cfg.filename}: the model cannot be counted at {height}x{width}",
        got=f"{type(problem).__name__}: {said}",
        expected="a detector that mmdet's forward(mode='tensor') runs",
    ) from problem


def _counts(model: nn.Module, image: Tensor) -> dict[str, int]:
    regions = regions_of(model)
    if regions is None:
        return multiply_adds(model, lambda: forward_once(model, image, None))
    counts = multiply_adds(model, lambda: forward_once(model, image, regions.proposals))
    masks = {name for name in counts if name.startswith(_MASKS)}
    if masks and regions.detections < regions.proposals:
        # Masks are made for what is detected, while mmdet's forward makes one for each proposal.
        fewer = multiply_adds(model, lambda: forward_once(model, image, regions.detections))
        counts.update({name: fewer[name] for name in masks})
    return counts


def _scope(cfg: Config) -> str:
    return str(cfg.get("default_scope") or ours.SCOPE)


def _built(cfg: Config, device: str) -> nn.Module:
    with DefaultScope.overwrite_default_scope(_scope(cfg)), torch.device(device):
        # Some detectors write into what they are given.
        model: nn.Module = ours.MODELS.build(copy.deepcopy(cfg.model))
    return model


def _without_download(value: Any) -> None:
    """Turn off every ``pretrained``, which some backbones fetch while they are built."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "pretrained" and item:
                value[name] = False if item is True else None  # type: ignore[index]
            _without_download(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _without_download(item)
