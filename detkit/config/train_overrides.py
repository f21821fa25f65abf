"""The flags of ``train`` that stand for config values: one word each in place of several keys."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from detkit.config.image_size import scale_image_size
from detkit.config.overrides import ensure_not_set
from detkit.config.schedule.fit_param_schedulers import type_name
from detkit.config.validate.registry_lookup import resolve_class
from detkit.errors import ConfigError
from detkit.registry import get_default_scope

_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
_WEIGHT_FILES = (".pth", ".pt", ".safetensors", ".bin", ".pkl")


@dataclass(frozen=True)
class TrainOverrides:
    """Values that replace those of a config; None keeps the config's.

    Args:
        batch_size: number of images of a training step, of one process.
        lr: the learning rate.
        size: pixels, see `scale_image_size`.
        workers: number of data loading processes of each dataloader; 0 loads in the main process.
        patience: end the training after so many validations without a better score.
        freeze: the backbone's ``frozen_stages``: so many stages and the stem are not trained; -1
            trains all.
        weights: the name of published weights of the backbone, or the file of a whole model.
    """

    batch_size: int | None = None
    lr: float | None = None
    size: int | None = None
    workers: int | None = None
    patience: int | None = None
    freeze: int | None = None
    weights: str | None = None


def override_training(
    cfg: Config, values: TrainOverrides, options: Mapping[str, Any] | None = None
) -> Config:
    """Return ``cfg`` with ``values``.

    Args:
        cfg: the config of a run; not changed.
        values: of the command's flags.
        options: those of ``--cfg-options``, which must not set the same values.

    Raises:
        ConfigError: the config has no such value, an option sets it too, or it is invalid.
    """
    cfg = copy.deepcopy(cfg)
    keys = list(options or {})
    if values.batch_size is not None:
        _set_batch_size(cfg, values.batch_size, keys)
    if values.lr is not None:
        _set_lr(cfg, values.lr, keys)
    if values.workers is not None:
        _set_workers(cfg, values.workers, keys)
    if values.size is not None:
        scale_image_size(cfg, values.size)
    if values.patience is not None:
        _set_patience(cfg, values.patience)
    if values.freeze is not None:
        _set_frozen_stages(cfg, values.freeze, keys)
    if values.weights is not None:
        _set_weights(cfg, values.weights, keys)
    return cfg


def _set_batch_size(cfg: Config, batch_size: int, keys: list[str]) -> None:
    ensure_not_set("--batch-size", "train_dataloader.batch_size", keys)
    loader = cfg.get("train_dataloader")
    if not isinstance(loader, Mapping) or "batch_size" not in loader:
        raise ConfigError("--batch-size: the config has no train_dataloader.batch_size")
    cfg.train_dataloader.batch_size = batch_size


def _set_lr(cfg: Config, lr: float, keys: list[str]) -> None:
    ensure_not_set("--lr", "optim_wrapper.optimizer.lr", keys)
    wrapper: Any = cfg.get("optim_wrapper") or {}
    optimizer = wrapper.get("optimizer")
    if not isinstance(optimizer, Mapping):
        raise ConfigError("--lr: the config has no optim_wrapper.optimizer",
                          hint="a config with several optimizers has a learning rate for each: set "
                          "them with --cfg-options")
    cfg.optim_wrapper.optimizer.lr = lr


def _set_workers(cfg: Config, workers: int, keys: list[str]) -> None:
    for name in _LOADERS:
        ensure_not_set("--workers", f"{name}.num_workers", keys)
        if isinstance(cfg.get(name), Mapping):
            cfg[name]["num_workers"] = workers


def _set_patience(cfg: Config, patience: int) -> None:
    hooks: list[Any] = list(cfg.get("custom_hooks") or [])
    stopping = [hook for hook in hooks
                if isinstance(hook, Mapping) and type_name(hook) == "EarlyStoppingHook"]
    if stopping:
        for hook in stopping:
            hook["patience"] = patience  # type: ignore[index]
        return
    if cfg.get("val_dataloader") is None or cfg.get("val_cfg") is None:
        raise ConfigError("--patience: the config has no validation",
                          expected="val_dataloader, val_cfg and val_evaluator")
    checkpoint = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    monitor = checkpoint.get("save_best")
    if not isinstance(monitor, str) or monitor == "auto":
        raise ConfigError("--patience: the config does not say which score is the best one",
                          got=f"default_hooks.checkpoint.save_best={monitor!r}",
                          expected="the name of a score, such as 'coco/bbox_mAP'")
    # The hook's own min_delta is 0.1, much of a score up to 1.
    rule = {"rule": checkpoint["rule"]} if isinstance(checkpoint.get("rule"), str) else {}
    cfg.custom_hooks = [*hooks, ConfigDict(type="EarlyStoppingHook", monitor=monitor,
                                           patience=patience, min_delta=0.0, **rule)]


def _set_frozen_stages(cfg: Config, stages: int, keys: list[str]) -> None:
    ensure_not_set("--freeze", "model.backbone.frozen_stages", keys)
    backbone = _get_backbone(cfg, "--freeze")
    target = resolve_class(backbone, scope=get_default_scope(cfg))
    if target is None or "frozen_stages" not in inspect.signature(target).parameters:
        raise ConfigError(f"--freeze: the backbone {backbone['type']} has no frozen_stages")
    backbone["frozen_stages"] = stages


def _set_weights(cfg: Config, weights: str, keys: list[str]) -> None:
    is_file = Path(weights).is_file()
    if not is_file and (Path(weights).suffix in _WEIGHT_FILES or "/" in weights):
        raise ConfigError(f"--weights {weights}: no such file",
                          hint="a file, or a name of published weights: detkit weights lists them")
    if is_file:
        ensure_not_set("--weights", "load_from", keys)
        cfg.load_from = weights
        return
    ensure_not_set("--weights", "model.backbone.weights", keys)
    backbone = _get_backbone(cfg, "--weights")
    backbone["weights"] = weights
    # The files of another choice.
    for owner in (backbone, cfg.model):
        init = owner.get("init_cfg")
        if isinstance(init, Mapping) and init.get("type") == "Pretrained":
            owner["init_cfg"] = None


def _get_backbone(cfg: Config, flag: str) -> Any:
    model = cfg.get("model")
    backbone = model.get("backbone") if isinstance(model, Mapping) else None
    if not isinstance(backbone, Mapping) or "type" not in backbone:
        raise ConfigError(f"{flag}: the config's model has no backbone")
    return backbone
