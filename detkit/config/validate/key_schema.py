"""Dicts of a config that have no ``type``, but a fixed set of keys all the same."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.data import DataLoader

from detkit.config.task import is_classifier
from detkit.config.validate.registry_lookup import names_in, registered
from detkit.errors import ConfigError
from detkit.registry import OPTIM_WRAPPER_CONSTRUCTORS

Complain = Callable[[str, str, list[str], str], Exception]

_DATALOADER = [
    *(name for name in inspect.signature(DataLoader.__init__).parameters if name != "self"),
    "num_batch_per_epoch", "disable_subprocess_warning",
]
# Of a dataloader, with the least that each may be.
_COUNTS = {"batch_size": 1, "num_workers": 0}
_PARAMWISE = [
    "custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult",
    "dwconv_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate",
]
# Of mmengine's constructor and of ours; those of others have keys of their own.
_PARAMWISE_OF = {
    "DefaultOptimWrapperConstructor": _PARAMWISE,
    "LayerDecayOptimWrapperConstructor": [*_PARAMWISE, "decay_rate"],
}
_CLIP_GRAD = ["max_norm", "norm_type", "error_if_nonfinite", "foreach", "clip_value", "type"]
_DEFAULT_HOOKS = [
    "runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint",
    "visualization",
]
_MODEL_CFG = [
    "rpn", "rpn_proposal", "rcnn", "assigner", "sampler", "pos_weight", "allowed_border",
    "nms", "nms_pre", "score_thr", "max_per_img", "max_per_image", "min_bbox_size",
]
_MIXING = ["augments", "probs"]
_DICTS = frozenset({
    "model", "train_dataloader", "val_dataloader", "test_dataloader", "train_cfg", "val_cfg",
    "test_cfg", "optim_wrapper", "default_hooks", "env_cfg", "randomness", "auto_scale_lr",
    "data_preprocessor", "log_processor", "model_wrapper_cfg",
})
_TOP = {
    "env_cfg": ["cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"],
    "randomness": ["seed", "diff_rank_seed", "deterministic"],
    "auto_scale_lr": ["enable", "base_batch_size"],
}


def check(value: Any, path: str, complain: Complain) -> None:
    """Check the keys of the dict at the top-level key ``path``.

    Raises:
        ConfigError: something else stands where only a dict can.
    """
    if path in _DICTS and value is not None and not isinstance(value, Mapping):
        raise ConfigError(path, got=repr(value), expected="a dict")
    if not isinstance(value, Mapping):
        return
    if path == "model":
        if is_classifier({"model": value}):
            _check_mixing(value.get("train_cfg"), f"{path}.train_cfg", complain)
            return
        for name in ("train_cfg", "test_cfg"):
            _refuse_near_misses(value.get(name), f"{path}.{name}", complain)
    if path.endswith("_dataloader"):
        _only(value, path, _DATALOADER, complain, "a key of a dataloader")
        for name, least in _COUNTS.items():
            _check_count(value.get(name), f"{path}.{name}", least)
    elif path in _TOP:
        _only(value, path, _TOP[path], complain, f"a key of {path}")
    elif path == "optim_wrapper":
        _check_optim_wrapper(value, path, complain)
    elif path == "default_hooks":
        # Other names are free; a near miss of a default would leave that default in force.
        _not_nearly(value, path, _DEFAULT_HOOKS, complain, "a default hook")


def _check_count(value: Any, path: str, least: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and value >= least):
        raise ConfigError(path, got=repr(value), expected=f"a whole number from {least} on")


def _check_mixing(value: Any, path: str, complain: Complain) -> None:
    if isinstance(value, Mapping):
        _only(value, path, _MIXING, complain, "a key that a classifier reads")
    elif value is not None:
        raise ConfigError(path, got=repr(value), expected="a dict with augments")


def _check_optim_wrapper(value: Mapping[str, Any], path: str, complain: Complain) -> None:
    clip_grad = value.get("clip_grad")
    if isinstance(clip_grad, Mapping):
        _only(clip_grad, f"{path}.clip_grad", _CLIP_GRAD, complain, "a key of clip_grad")
    constructor = value.get("constructor")
    if isinstance(constructor, str) and registered(OPTIM_WRAPPER_CONSTRUCTORS, constructor) is None:
        raise complain(f"{path}.constructor", constructor, names_in(OPTIM_WRAPPER_CONSTRUCTORS),
                       "the name of an optimizer wrapper constructor")
    name = str(constructor or "DefaultOptimWrapperConstructor").rpartition(".")[2]
    paramwise = value.get("paramwise_cfg")
    if not isinstance(paramwise, Mapping) or name not in _PARAMWISE_OF:
        return
    what = f"a key of paramwise_cfg that {name} reads"
    _only(paramwise, f"{path}.paramwise_cfg", _PARAMWISE_OF[name], complain, what)


def _refuse_near_misses(value: Any, path: str, complain: Complain) -> None:
    """Each model reads keys of its own here; what is nearly one of the usual ones is a slip."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _refuse_near_misses(item, f"{path}[{index}]", complain)
    elif isinstance(value, Mapping) and "type" not in value:
        _not_nearly(value, path, _MODEL_CFG, complain, "a key that a detector reads")
        for name, item in value.items():
            _refuse_near_misses(item, f"{path}.{name}", complain)


def _not_nearly(
    value: Mapping[str, Any], path: str, known: list[str], complain: Complain, what: str
) -> None:
    for name in value:
        if name not in known and difflib.get_close_matches(str(name), known, 1, 0.85):
            raise complain(f"{path}.{name}", str(name), known, what)


def _only(
    value: Mapping[str, Any], path: str, known: list[str], complain: Complain, what: str
) -> None:
    for name in value:
        if name not in known:
            raise complain(f"{path}.{name}", str(name), known, what)
