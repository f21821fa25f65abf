"""``--from-scratch``: a run begins with random weights, whatever its config loads."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from detkit import registry as detkit_registry
from detkit.config.overrides import remove_pretrained
from detkit.config.validate.registry_lookup import resolve_class
from detkit.config.validate.signatures import get_signature
from detkit.errors import ConfigError
from detkit.walk import walk_dicts

logger = logging.getLogger(__name__)


def drop_initial_weights(cfg: Config) -> Config:
    """Begin with random weights: no file is loaded into the model.

    Mean and std of the input, padding and eps stay as the config has them. Batch norms that the
    config keeps in eval mode, and stages that it freezes, are trained: with random weights and
    initial statistics they would normalize nothing, and learn nothing.

    Args:
        cfg: the config of a run, after ``infer_fields``; not changed.

    Raises:
        ConfigError: the model has no backbone.
    """
    cfg = copy.deepcopy(cfg)
    model: Any = cfg.get("model")
    backbone: Any = model.get("backbone") if isinstance(model, Mapping) else None
    if not isinstance(backbone, Mapping):
        raise ConfigError("--from-scratch: the config's model has no backbone")
    if cfg.get("resume"):
        logger.info("--from-scratch: all weights come from the resumed checkpoint %s",
                    cfg.get("load_from"))
    else:
        sources = list(dict.fromkeys(_sources(cfg)))
        logger.info("--from-scratch: the model begins with random weights%s",
                    f", without {', '.join(sources)}" if sources else "")
        cfg.load_from = None
    remove_pretrained(model)
    for _, component in walk_dicts(model):
        if component.get("pretrained"):
            component["pretrained"] = False if component["pretrained"] is True else None
    _train_all(backbone, detkit_registry.get_default_scope(cfg))
    return cfg


def _sources(cfg: Config) -> Iterator[str]:
    """What the config loads, for the log."""
    for path, component in walk_dicts(cfg.get("model"), "model"):
        if component.get("type") == "Pretrained" and component.get("checkpoint"):
            yield str(component["checkpoint"])
        if component.get("pretrained"):
            yield f"{path}.pretrained={component['pretrained']}"
    if cfg.get("load_from"):
        yield str(cfg.load_from)


def _train_all(backbone: Any, scope: str) -> None:
    """Train every batch norm and every stage of the backbone."""
    target = resolve_class(backbone, scope=scope)
    names = get_signature(target).names if target is not None else frozenset()
    parameters = inspect.signature(target).parameters if target is not None else {}
    for name, trained in (("norm_eval", False), ("frozen_stages", -1)):
        default = parameters[name].default if name in parameters else trained
        if name in names and backbone.get(name, default) != trained:
            backbone[name] = trained
            logger.info("--from-scratch: model.backbone.%s=%s, because random weights must be "
                        "trained", name, trained)
