"""Changes to a config before the Runner is built: flags of the command line, replaced classes."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from detkit.config.validate.registry_lookup import is_subclass, resolve_class
from detkit.errors import ConfigError
from detkit.registry import METRICS, OPTIM_WRAPPERS, SCOPE, get_default_scope
from detkit.walk import walk_dicts

# mmengine's and mmdet's classes, and detkit's replacements that make a run resumable.
_REPLACEMENTS = {
    "CheckpointHook": "detkit.CheckpointHook",
    "EarlyStoppingHook": "detkit.EarlyStoppingHook",
    "EpochBasedTrainLoop": "detkit.EpochBasedTrainLoop",
    "IterBasedTrainLoop": "detkit.IterBasedTrainLoop",
    "AmpOptimWrapper": "detkit.AmpOptimWrapper",
    "PipelineSwitchHook": "detkit.PipelineSwitchHook",
    "YOLOXModeSwitchHook": "detkit.YOLOXModeSwitchHook",
    "mmdet.PipelineSwitchHook": "detkit.PipelineSwitchHook",
    "mmdet.YOLOXModeSwitchHook": "detkit.YOLOXModeSwitchHook",
}

# In auto_scale_lr of a run whose batch size --auto-batch chose; a resumed run keeps it.
AUTO_BATCH_KEY = "auto_batch"


def substitute_components(cfg: Config) -> None:
    """Replace mmengine's hooks, loops and AMP wrapper in ``cfg`` by detkit's, in place.

    A config without a ``default_scope`` gets detkit's.
    """
    if cfg.get("default_scope") is None:
        cfg.default_scope = SCOPE
    for loader in (cfg.get(f"{split}_dataloader") for split in ("train", "val", "test")):
        # torch rejects persistent_workers=True and a prefetch_factor with num_workers=0.
        if isinstance(loader, dict) and not loader.get("num_workers"):
            loader["persistent_workers"] = False
            loader.pop("prefetch_factor", None)
    train_cfg: Any = cfg.get("train_cfg")
    if train_cfg is not None:
        by_epoch = train_cfg.pop("by_epoch", True)
        train_cfg.setdefault("type", "EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop")
    hooks = cfg.get("default_hooks") or ConfigDict()
    hooks.setdefault("checkpoint", ConfigDict(type="CheckpointHook", interval=1))
    cfg.default_hooks = hooks
    components = [
        train_cfg,
        cfg.get("optim_wrapper"), *hooks.values(), *(cfg.get("custom_hooks") or [])
    ]
    for component in components:
        if isinstance(component, Mapping) and component.get("type") in _REPLACEMENTS:
            component["type"] = _REPLACEMENTS[component["type"]]  # type: ignore[index]


def ensure_not_set(flag: str, key: str, options: Container[str]) -> None:
    """Check that ``--cfg-options`` does not set the value of a flag.

    Args:
        flag: such as ``--lr``.
        key: the key of the config that it sets.
        options: the keys of ``--cfg-options``.

    Raises:
        ConfigError: it does.
    """
    if key in options:
        raise ConfigError(f"{flag} and --cfg-options {key} set the same value",
                          expected="one of them")


def enable_amp(cfg: Config) -> None:
    """Enable mixed precision training in ``cfg``, for ``--amp``.

    Raises:
        ConfigError: optim_wrapper is missing, or is neither an OptimWrapper nor an AmpOptimWrapper.
    """
    wrapper, scope = cfg.get("optim_wrapper"), get_default_scope(cfg)
    if wrapper is None:
        raise ConfigError("--amp: the config has no optim_wrapper")
    if wrapper.get("type") is not None and not (
            resolve_class(wrapper, OPTIM_WRAPPERS, scope) is OptimWrapper
            or is_subclass(wrapper, AmpOptimWrapper, OPTIM_WRAPPERS, scope)):
        raise ConfigError("--amp: optim_wrapper.type", got=wrapper["type"],
                          expected="OptimWrapper")
    wrapper["type"] = "detkit.AmpOptimWrapper"
    if wrapper.get("dtype") == "auto":
        # 'auto' would be float32 on most CPUs.
        wrapper.pop("dtype")


def enable_lr_scaling(cfg: Config, flag: str = "--auto-scale-lr") -> None:
    """Scale the learning rate with the batch size, for ``flag``.

    Raises:
        ConfigError: the config has no ``auto_scale_lr.base_batch_size``.
    """
    scaling = cfg.get("auto_scale_lr")
    if not isinstance(scaling, Mapping) or "base_batch_size" not in scaling:
        raise ConfigError(
            f"{flag}: the config has no auto_scale_lr.base_batch_size",
            hint="add auto_scale_lr = dict(base_batch_size=16), with the batch size that the "
            "learning rate is meant for",
        )
    scaling["enable"] = True  # type: ignore[index]


def test_only_config(cfg: Config) -> Config:
    """Return a copy of ``cfg`` for testing only: no training, no custom hooks.

    Raises:
        ConfigError: the config has no test split.
    """
    missing = [k for k in ("test_dataloader", "test_cfg", "test_evaluator") if cfg.get(k) is None]
    if missing:
        raise ConfigError(f"the config has no {missing[0]}",
                          hint="pass --data, or add it to the config")
    cfg = Config(cfg._cfg_dict.copy(), filename=cfg.filename)
    for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler",
                "val_dataloader", "val_cfg", "val_evaluator", "custom_hooks", "auto_scale_lr",
                "resume", "load_from"):
        if key in cfg:
            cfg.pop(key)
    # The caller loads the checkpoint; pretrained weights need not be downloaded.
    remove_pretrained(cfg.model)
    cfg.test_evaluator = _substitute_metric(cfg.test_evaluator, get_default_scope(cfg))
    return cfg


def remove_pretrained(value: Any) -> None:
    """Set every ``init_cfg`` that reads a checkpoint to None, in place."""
    for _, component in walk_dicts(value):
        init = component.get("init_cfg")
        steps = init if isinstance(init, (list, tuple)) else [init]
        if any(isinstance(step, Mapping) and step.get("type") == "Pretrained" for step in steps):
            component["init_cfg"] = None


def _substitute_metric(evaluator: Any, scope: str) -> Any:
    """Replace a CocoMetric of boxes by `CocoBBoxMetric`, which gives the same numbers."""
    from mmdet.evaluation import CocoMetric

    if not isinstance(evaluator, Mapping):
        return evaluator
    measures_boxes = evaluator.get("metric", "bbox") in ("bbox", ["bbox"])
    if measures_boxes and resolve_class(evaluator, METRICS, scope) is CocoMetric:
        kept = {k: evaluator[k] for k in ("ann_file", "outfile_prefix") if k in evaluator}
        return ConfigDict(type="detkit.CocoBBoxMetric", **kept)
    return evaluator
