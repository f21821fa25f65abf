"""``--backbone-from``: initializes the backbone of a run from the weights in a file."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from detkit import registry as detkit_registry
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.checkpoints.published.find_published import PUBLISHED_PREFIX, fetch, find_by_name
from detkit.config.validate.registry_lookup import resolve_class
from detkit.config.validate.signatures import get_signature
from detkit.engine.input_statistics import take_input_statistics
from detkit.errors import ConfigError, WeightsError
from detkit.files import special_file_type

logger = logging.getLogger(__name__)

# Wrappers of the same timm networks, whose files are compatible.
_TIMM_WRAPPERS = ("TimmBackbone", "TimmNetwork")
# Tensors that old files lack, and offsets that start at zero.
_OPTIONAL_KEYS = ("num_batches_tracked", "conv_offset")
_PREFIXES = ("backbone.", "")


def init_backbone_from(cfg: Config, checkpoint: str | Path) -> Config:
    """Initialize the backbone from the weights in ``checkpoint``.

    Args:
        cfg: the config of a run; not changed.
        checkpoint: of a classifier or a detector with that backbone, or its published weights.

    Returns:
        The config with an ``init_cfg`` of the backbone; as it was if it resumes a run, whose
        checkpoint has all weights.

    Raises:
        ConfigError: the model has no backbone, or the config loads other weights into it.
        WeightsError: the file does not exist or holds another backbone; the message names both.
    """
    cfg = copy.deepcopy(cfg)
    model = cfg.get("model")
    backbone: Any = model.get("backbone") if isinstance(model, Mapping) else None
    scope = detkit_registry.get_default_scope(cfg)
    has_type = isinstance(backbone, Mapping) and "type" in backbone
    target = resolve_class(backbone, scope=scope) if has_type else None
    if target is None:
        raise ConfigError("--backbone-from: the config's model has no backbone")
    if str(checkpoint).startswith(PUBLISHED_PREFIX):
        name = str(checkpoint).removeprefix(PUBLISHED_PREFIX)
        checkpoint = fetch(find_by_name(name, target.__name__))
    if not Path(checkpoint).is_file():
        raise WeightsError(
            f"--backbone-from {checkpoint}: {special_file_type(checkpoint) or 'no such file'}")
    if cfg.get("resume"):
        logger.info("--backbone-from has no effect: all weights come from the resumed checkpoint "
                    "%s", cfg.get("load_from"))
        return cfg
    if cfg.get("load_from"):
        raise ConfigError(
            f"--backbone-from {checkpoint}: the config's load_from would overwrite these weights",
            got=f"load_from={cfg.load_from}", hint="pass --cfg-options load_from=None",
        )
    init: dict[str, Any] = {}
    if target.__module__.startswith("detkit."):
        _check_architecture(backbone, target, Path(checkpoint))
        take_input_statistics(model, Path(checkpoint))
    elif prefix := _find_prefix(backbone, target, Path(checkpoint)):
        init["prefix"] = prefix
    backbone["init_cfg"] = ConfigDict(type="Pretrained", checkpoint=str(checkpoint), **init)
    backbone.pop("pretrained", None)  # some backbones would load these weights first
    weights = backbone.get("weights")
    logger.info("the backbone is initialized from %s%s", checkpoint, "" if weights is None else
                f", in place of weights='{weights}': their mean, std and padding stay")
    return cfg


def _check_architecture(backbone: Mapping[str, Any], target: Any, checkpoint: Path) -> None:
    from detkit.models.weights.backbone_detect import describe_backbone, detect_backbone

    detected = detect_backbone(checkpoint)
    backbone_type, arch = target.__name__, _get_arch(backbone, target)
    same_type = detected.type == backbone_type or (detected.type in _TIMM_WRAPPERS
                                                   and backbone_type in _TIMM_WRAPPERS)
    if backbone_type in (*_TIMM_WRAPPERS, "ClassicNetwork") and not detected.from_config:
        return  # only the network knows its names in a timm file; they are checked at loading
    if not same_type or None not in (arch, detected.arch) and _strip_tag(arch) != _strip_tag(
            detected.arch):
        raise WeightsError(
            f"--backbone-from: {checkpoint} holds {detected.description}; the config's backbone is "
            + describe_backbone(backbone_type, arch),
            hint="pass a file with that backbone, or a config with the backbone of the file",
        )


def _strip_tag(arch: str | None) -> str | None:
    """A timm name without the tag of its weights: 'resnet50' of 'resnet50.a1_in1k'."""
    return arch if arch is None else arch.partition(".")[0]


def _get_arch(backbone: Mapping[str, Any], target: Any) -> str | None:
    """The backbone's ``arch``, ``name`` or ``depth``, or its default if the config has none."""
    names = get_signature(target).names
    for key in ("arch", "name", "depth"):
        if key in names:
            value = backbone.get(key)
            if value is None:
                default = inspect.signature(target).parameters.get(key)
                value = None if default is None else default.default
            return str(value) if isinstance(value, (str, int)) else None
    return None


def _find_prefix(backbone: Mapping[str, Any], target: Any, checkpoint: Path) -> str:
    """The prefix of the backbone's tensors in ``checkpoint``, for a backbone of another library."""
    content = load_checkpoint(checkpoint)
    weights = content.get("state_dict", content)
    arguments = {k: v for k, v in backbone.items() if k not in ("type", "init_cfg", "pretrained")}
    with torch.device("meta"):
        expected_shapes = {
            name: tensor.shape
            for name, tensor in target(**ConfigDict(arguments)).state_dict().items()
        }
    mismatched: list[str] = []
    for prefix in _PREFIXES:
        if prefix and not any(name.startswith(prefix) for name in weights):
            continue
        mismatched = [
            name for name, shape in expected_shapes.items()
            if getattr(weights.get(prefix + name), "shape", None) != shape and not any(
                substring in name for substring in _OPTIONAL_KEYS)
        ]
        if not mismatched:
            return prefix.rstrip(".")
        break
    from detkit.models.weights.backbone_detect import describe_backbone, detect_backbone

    raise WeightsError(
        f"--backbone-from: {checkpoint} holds {detect_backbone(checkpoint).description}; the "
        f"config's backbone is {describe_backbone(target.__name__, _get_arch(backbone, target))}",
        got=f"{len(mismatched)} of its {len(expected_shapes)} tensors missing or of another "
        f"shape, such as {', '.join(mismatched[:3])}",
    )
