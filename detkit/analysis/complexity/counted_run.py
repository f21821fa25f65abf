"""The model of a config, built and run once to be counted: on shapes alone, or computed."""

from __future__ import annotations

import copy
import logging
import traceback

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from detkit import registry as ours
from detkit.analysis.complexity.counting_forward import forward_once, regions_of
from detkit.analysis.complexity.mac_count import multiply_adds, needs_content, shapes_alone
from detkit.errors import ConfigError, DetkitError

logger = logging.getLogger(__name__)

# Of one image, in pixels: what is computed takes seconds then, and a few gigabytes at the most.
LARGEST_COMPUTED = 2048 * 2048
# What works on detections, not on proposals.
_MASKS = "roi_head.mask"


def run_and_count(cfg: Config, size: tuple[int, int]) -> tuple[nn.Module, dict[str, int], str]:
    """Build the model of ``cfg``, run it, and count its multiply-adds by module.

    Args:
        cfg: with everything derived, and nothing in it that is fetched.
        size: height and width of the input in pixels.

    Returns:
        the model, in eval mode and without weights that mean anything; what ``multiply_adds``
        gives; and what it ran on, 'shapes' or 'cpu'.

    Raises:
        ConfigError: the model cannot be built or run, or it must compute and ``size`` has more
            than ``LARGEST_COMPUTED`` pixels.
    """
    # The meta device is the quickest, but some models compute while they are built.
    for device in ("meta", "cpu"):
        try:
            model = _built(cfg, device)
        except DetkitError:
            raise
        except Exception as error:
            # Any model, of anyone.
            if device == "meta":
                continue
            raise ConfigError(f"{cfg.filename}: the model cannot be built",
                              got=_said(error)) from error
        try:
            with shapes_alone(model):
                return model, _counts(cfg, model, size), "shapes"
        except DetkitError:
            raise
        except Exception as error:
            logger.debug("built on %s, not counted on shapes", device, exc_info=error)
            problem = error
    if not needs_content(problem):
        raise _not_counted(cfg, size, problem) from problem
    return _computed(cfg, size)


def _computed(cfg: Config, size: tuple[int, int]) -> tuple[nn.Module, dict[str, int], str]:
    height, width = size
    if height * width > LARGEST_COMPUTED:
        raise ConfigError(
            f"{cfg.filename}: the model does not run on shapes alone, so it must compute",
            got=f"{height}x{width}",
            expected=f"at most {LARGEST_COMPUTED} pixels, as 2048x2048",
            do="pass a smaller --size",
        )
    logger.warning("%s: its model does not run on shapes alone, so it runs on the CPU",
                   cfg.filename)
    try:
        model = _built(cfg, "cpu")
        return model, _counts(cfg, model, size), "cpu"
    except DetkitError:
        raise
    except Exception as error:
        raise _not_counted(cfg, size, error) from error


def _counts(cfg: Config, model: nn.Module, size: tuple[int, int]) -> dict[str, int]:
    image = torch.zeros(1, 3, *size)
    with DefaultScope.overwrite_default_scope(_scope(cfg)):
        regions = regions_of(model)
        if regions is None:
            return multiply_adds(model, lambda: forward_once(model, image, None))
        counts = multiply_adds(model, lambda: forward_once(model, image, regions.proposals))
        masks = {name for name in counts if name.startswith(_MASKS)}
        if masks and regions.detections < regions.proposals:
            # Masks are made for what is detected, while mmdet's forward makes one for each
            # proposal.
            fewer = multiply_adds(model, lambda: forward_once(model, image, regions.detections))
            counts.update({name: fewer[name] for name in masks})
    return counts


def _built(cfg: Config, device: str) -> nn.Module:
    with DefaultScope.overwrite_default_scope(_scope(cfg)), torch.device(device):
        # Some detectors write into what they are given.
        model: nn.Module = ours.MODELS.build(copy.deepcopy(cfg.model))
    return model.eval()


def _scope(cfg: Config) -> str:
    return str(cfg.get("default_scope") or ours.SCOPE)


def _not_counted(cfg: Config, size: tuple[int, int], error: Exception) -> ConfigError:
    height, width = size
    return ConfigError(
        f"{cfg.filename}: the model cannot be counted at {height}x{width}",
        got=_said(error),
        expected="a model that forward(mode='tensor') runs",
    )


def _said(error: Exception) -> str:
    """The error's first line; of one without words, such as an assertion, the line of code."""
    words = next(iter(str(error).splitlines()), "").rstrip(". ")
    frames = traceback.extract_tb(error.__traceback__)
    if not words and frames:
        words = frames[-1].line or ""
    return f"{type(error).__name__}: {words}"
