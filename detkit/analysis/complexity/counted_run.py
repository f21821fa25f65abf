"""Build the model of a config and count a forward pass, on fake tensors or on the CPU."""

from __future__ import annotations

import copy
import logging
import traceback

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from detkit import registry as detkit_registry
from detkit.analysis.complexity.counting_forward import forward_once, get_roi_counts
from detkit.analysis.complexity.mac_count import count_macs, fake_tensor_mode, needs_real_tensors
from detkit.errors import ConfigError, DetkitError

logger = logging.getLogger(__name__)

# Of one image: up to this size a pass on the CPU takes seconds, and a few gigabytes at most.
MAX_COMPUTED_PIXELS = 2048 * 2048
# Modules that run on detections instead of proposals.
_MASK_PREFIX = "roi_head.mask"


def run_and_count(cfg: Config, size: tuple[int, int]) -> tuple[nn.Module, dict[str, int], str]:
    """Build the model of ``cfg``, run it, and count its multiply-adds by module.

    Args:
        cfg: with all fields inferred and nothing to download.
        size: height and width of the input in pixels.

    Returns:
        the model, in eval mode with arbitrary weights; the result of ``count_macs``; and what it
        ran on, 'shapes' (fake tensors) or 'cpu'.

    Raises:
        ConfigError: the model cannot be built or run, or it needs real tensors and ``size`` has
            more than ``MAX_COMPUTED_PIXELS`` pixels.
    """
    # The meta device is the fastest, but some models read tensor values when they are built.
    for device in ("meta", "cpu"):
        try:
            model = _build_model(cfg, device)
        except DetkitError:
            raise
        except Exception as error:
            # Models of users raise errors of any type.
            if device == "meta":
                continue
            raise ConfigError(f"{cfg.filename}: the model cannot be built",
                              got=_summarize_error(error)) from error
        try:
            with fake_tensor_mode(model):
                return model, _count_model_macs(cfg, model, size), "shapes"
        except DetkitError:
            raise
        except Exception as error:
            logger.debug("built on %s, not counted with fake tensors", device, exc_info=error)
            problem = error
    if not needs_real_tensors(problem):
        raise _counting_error(cfg, size, problem) from problem
    return _count_on_cpu(cfg, size)


def _count_on_cpu(cfg: Config, size: tuple[int, int]) -> tuple[nn.Module, dict[str, int], str]:
    height, width = size
    if height * width > MAX_COMPUTED_PIXELS:
        raise ConfigError(
            f"{cfg.filename}: the model does not run with fake tensors, only on the CPU",
            got=f"{height}x{width}",
            expected=f"at most {MAX_COMPUTED_PIXELS} pixels, such as 2048x2048",
            hint="pass a smaller --size",
        )
    logger.warning("%s: the model does not run with fake tensors; running it on the CPU",
                   cfg.filename)
    try:
        model = _build_model(cfg, "cpu")
        return model, _count_model_macs(cfg, model, size), "cpu"
    except DetkitError:
        raise
    except Exception as error:
        raise _counting_error(cfg, size, error) from error


def _count_model_macs(cfg: Config, model: nn.Module, size: tuple[int, int]) -> dict[str, int]:
    image = torch.zeros(1, 3, *size)
    with DefaultScope.overwrite_default_scope(_default_scope(cfg)):
        roi_counts = get_roi_counts(model)
        if roi_counts is None:
            return count_macs(model, lambda: forward_once(model, image, None))
        counts = count_macs(model, lambda: forward_once(model, image, roi_counts.proposals))
        mask_modules = {name for name in counts if name.startswith(_MASK_PREFIX)}
        if mask_modules and roi_counts.detections < roi_counts.proposals:
            # mmdet's forward runs the mask head for each proposal, prediction for each detection.
            mask_counts = count_macs(model,
                                     lambda: forward_once(model, image, roi_counts.detections))
            counts.update({name: mask_counts[name] for name in mask_modules})
    return counts


def _build_model(cfg: Config, device: str) -> nn.Module:
    with DefaultScope.overwrite_default_scope(_default_scope(cfg)), torch.device(device):
        # Some detectors write into what they are given.
        model: nn.Module = detkit_registry.MODELS.build(copy.deepcopy(cfg.model))
    return model.eval()


def _default_scope(cfg: Config) -> str:
    return str(cfg.get("default_scope") or detkit_registry.SCOPE)


def _counting_error(cfg: Config, size: tuple[int, int], error: Exception) -> ConfigError:
    height, width = size
    return ConfigError(
        f"{cfg.filename}: the FLOPs of the model cannot be counted at {height}x{width}",
        got=_summarize_error(error),
        expected="a model that runs with forward(mode='tensor')",
    )


def _summarize_error(error: Exception) -> str:
    """The error's first line; the line of code where it has no message, as an assertion."""
    message = next(iter(str(error).splitlines()), "").rstrip(". ")
    frames = traceback.extract_tb(error.__traceback__)
    if not message and frames:
        message = frames[-1].line or ""
    return f"{type(error).__name__}: {message}"
