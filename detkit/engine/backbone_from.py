"""``--backbone-from``: a backbone that begins with the weights of a file, or is refused by name."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from detkit import registry as ours
from detkit.checkpoints.last_checkpoint import read_any_checkpoint
from detkit.config.validate.registry_lookup import class_of
from detkit.config.validate.signatures import signature_of
from detkit.errors import ConfigError, WeightsError
from detkit.files import special_file

logger = logging.getLogger(__name__)

# The same networks of timm under other wrappers: their files fit each other.
_TIMM = ("TimmBackbone", "TimmNetwork")
# What old files leave out, and what begins at zero beside weights of images.
_MAY_LACK = ("num_batches_tracked", "conv_offset")
_PREFIXES = ("backbone.", "")


def begin_backbone_from(cfg: Config, checkpoint: str | Path) -> None:
    """Have the backbone of ``cfg`` begin with the weights in ``checkpoint``.

    Args:
        cfg: changed in place, unless it resumes a checkpoint, which has all weights already.
        checkpoint: of a classifier or a detector with that backbone, or a published file of it.

    Raises:
        ConfigError: the model has no backbone, or the config loads other weights over it.
        WeightsError: there is no such file, or it holds another backbone; the message says both.
    """
    model = cfg.get("model")
    backbone: Any = model.get("backbone") if isinstance(model, Mapping) else None
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    named = isinstance(backbone, Mapping) and "type" in backbone
    target = class_of(backbone, scope=scope) if named else None
    if target is None:
        raise ConfigError("--backbone-from: the config's model has no backbone")
    if not Path(checkpoint).is_file():
        raise WeightsError(
            f"--backbone-from {checkpoint}: {special_file(checkpoint) or 'no such file'}")
    if cfg.get("resume"):
        logger.info("--backbone-from has no effect: %s is resumed, with all of its weights",
                    cfg.get("load_from"))
        return
    if cfg.get("load_from"):
        raise ConfigError(
            f"--backbone-from {checkpoint}: the config loads other weights over them",
            got=f"load_from={cfg.load_from}", do="pass --cfg-options load_from=None",
        )
    if target.__module__.startswith("detkit."):
        _refuse_another(backbone, target, Path(checkpoint))
        init: dict[str, Any] = {}
    else:
        # mmengine loads what fits and leaves the rest as it is, without an error.
        init = {"prefix": _prefix_that_fits(backbone, target, Path(checkpoint))}
        init = {name: value for name, value in init.items() if value}
    backbone["init_cfg"] = ConfigDict(type="Pretrained", checkpoint=str(checkpoint), **init)
    # Otherwise some would fetch other weights first.
    backbone.pop("pretrained", None)
    logger.info("the backbone begins with the weights in %s", checkpoint)


def _refuse_another(backbone: Mapping[str, Any], target: Any, checkpoint: Path) -> None:
    from detkit.models.weights.backbone_detect import backbone_in, described

    found = backbone_in(checkpoint)
    kind, arch = target.__name__, _arch(backbone, target)
    same_kind = found.type == kind or (found.type in _TIMM and kind in _TIMM)
    if kind in (*_TIMM, "TeachingNetwork") and not found.by_config:
        return  # Which names a file of timm must have, only the network knows: it is asked then.
    if not same_kind or None not in (arch, found.arch) and _network(arch) != _network(found.arch):
        raise WeightsError(
            f"--backbone-from: {checkpoint} holds {found.description}; the config's backbone is "
            + described(kind, arch),
            do="pass a file with that backbone, or a config with the file's",
        )


def _network(arch: str | None) -> str | None:
    """The network without timm's tag of its weights: 'resnet50' of 'resnet50.a1_in1k'."""
    return arch if arch is None else arch.partition(".")[0]


def _arch(backbone: Mapping[str, Any], target: Any) -> str | None:
    """What the backbone's ``arch`` or ``name`` is, its default where the config gives none."""
    names = signature_of(target).names
    for key in ("arch", "name", "depth"):
        if key in names:
            given = backbone.get(key)
            if given is None:
                default = inspect.signature(target).parameters.get(key)
                given = None if default is None else default.default
            return str(given) if isinstance(given, (str, int)) else None
    return None


def _prefix_that_fits(backbone: Mapping[str, Any], target: Any, checkpoint: Path) -> str:
    """The prefix under which ``checkpoint`` holds every tensor of a backbone that is not ours."""
    content = read_any_checkpoint(checkpoint)
    weights = content.get("state_dict", content)
    arguments = {k: v for k, v in backbone.items() if k not in ("type", "init_cfg", "pretrained")}
    with torch.device("meta"):
        wanted = {name: tensor.shape
                  for name, tensor in target(**ConfigDict(arguments)).state_dict().items()}
    lacking: list[str] = []
    for prefix in _PREFIXES:
        if prefix and not any(name.startswith(prefix) for name in weights):
            continue
        lacking = [name for name, shape in wanted.items()
                   if getattr(weights.get(prefix + name), "shape", None) != shape
                   and not any(part in name for part in _MAY_LACK)]
        if not lacking:
            return prefix.rstrip(".")
        break
    from detkit.models.weights.backbone_detect import backbone_in, described

    raise WeightsError(
        f"--backbone-from: {checkpoint} holds {backbone_in(checkpoint).description}; the config's "
        f"backbone is {described(target.__name__, _arch(backbone, target))}",
        got=f"{len(lacking)} of its {len(wanted)} tensors missing or of another shape, such as "
        + ", ".join(lacking[:3]),
    )
