"""Check the keys of config dicts that have no ``type`` but a fixed set of keys."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch.utils.data import DataLoader

from detkit.config.task import is_classifier
from detkit.config.validate.registry_lookup import lookup, registered_names
from detkit.errors import ConfigError
from detkit.registry import OPTIM_WRAPPER_CONSTRUCTORS
from detkit.text import closest_name
from detkit.walk import walk

ErrorFactory = Callable[[str, str, list[str], str], Exception]

_DATALOADER = [
    *(name for name in inspect.signature(DataLoader.__init__).parameters if name != "self"),
    "num_batch_per_epoch", "disable_subprocess_warning",
]
# Integers of a dataloader, with their minimum.
_MIN_COUNTS = {"batch_size": 1, "num_workers": 0}
_PARAMWISE = [
    "custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult",
    "dwconv_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate",
]
_CLIP_GRAD = ["max_norm", "norm_type", "error_if_nonfinite", "foreach", "clip_value", "type"]
_DEFAULT_HOOKS = [
    "runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint",
    "curves", "visualization",
]
_MODEL_CFG = [
    "rpn", "rpn_proposal", "rcnn", "assigner", "sampler", "pos_weight", "allowed_border",
    "nms", "nms_pre", "score_thr", "max_per_img", "max_per_image", "min_bbox_size",
]
_BATCH_AUGMENT_KEYS = ["augments", "probs"]
_DICT_KEYS = frozenset({
    "model", "train_dataloader", "val_dataloader", "test_dataloader", "train_cfg", "val_cfg",
    "test_cfg", "optim_wrapper", "default_hooks", "env_cfg", "randomness", "auto_scale_lr",
    "data_preprocessor", "log_processor", "model_wrapper_cfg",
})
_TOP_LEVEL_KEYS = {
    "env_cfg": ["cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"],
    "randomness": ["seed", "diff_rank_seed", "deterministic"],
    "auto_scale_lr": ["enable", "base_batch_size", "auto_batch"],
}


def check_keys(value: Any, path: str, make_error: ErrorFactory) -> None:
    """Check the keys of the value at the top-level key ``path``.

    Args:
        value: of any type.
        path: the top-level key.
        make_error: makes the error for an unknown key from its path, its name, the known keys and
            a description of what was expected.

    Raises:
        ConfigError: the value is not a dict where one is required.
    """
    if path in _DICT_KEYS and value is not None and not isinstance(value, Mapping):
        raise ConfigError(path, got=repr(value), expected="a dict")
    if not isinstance(value, Mapping):
        return
    if path == "model":
        if is_classifier({"model": value}):
            _check_batch_augments(value.get("train_cfg"), f"{path}.train_cfg", make_error)
            return
        for name in ("train_cfg", "test_cfg"):
            _check_model_cfg(value.get(name), f"{path}.{name}", make_error)
    if path.endswith("_dataloader"):
        _check_known_keys(value, path, _DATALOADER, make_error, "a key of a dataloader")
        for name, minimum in _MIN_COUNTS.items():
            _check_count(value.get(name), f"{path}.{name}", minimum)
    elif path in _TOP_LEVEL_KEYS:
        _check_known_keys(value, path, _TOP_LEVEL_KEYS[path], make_error, f"a key of {path}")
    elif path == "optim_wrapper":
        _check_optim_wrapper(value, path, make_error)
    elif path == "default_hooks":
        # Other names are allowed; a misspelled default name would leave the default hook active.
        _check_spelling(value, path, _DEFAULT_HOOKS, make_error, "a default hook")


def _check_count(value: Any, path: str, minimum: int) -> None:
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (is_int and value >= minimum):
        raise ConfigError(path, got=repr(value), expected=f"an integer of at least {minimum}")


def _check_batch_augments(value: Any, path: str, make_error: ErrorFactory) -> None:
    if isinstance(value, Mapping):
        _check_known_keys(value, path, _BATCH_AUGMENT_KEYS, make_error,
                          "a key that a classifier reads")
    elif value is not None:
        raise ConfigError(path, got=repr(value), expected="a dict with augments")


def _check_optim_wrapper(value: Mapping[str, Any], path: str, make_error: ErrorFactory) -> None:
    clip_grad = value.get("clip_grad")
    if isinstance(clip_grad, Mapping):
        _check_known_keys(clip_grad, f"{path}.clip_grad", _CLIP_GRAD, make_error,
                          "a key of clip_grad")
    constructor = value.get("constructor") or DefaultOptimWrapperConstructor
    if isinstance(constructor, str):
        name, constructor = constructor, lookup(OPTIM_WRAPPER_CONSTRUCTORS, constructor)
        if constructor is None:
            raise make_error(f"{path}.constructor", name,
                             registered_names(OPTIM_WRAPPER_CONSTRUCTORS),
                             "the name of an optimizer wrapper constructor")
    # A constructor of detkit states its additional keys; those of other libraries are unknown.
    extra_keys = getattr(constructor, "extra_paramwise_keys", None)
    if constructor is DefaultOptimWrapperConstructor:
        extra_keys = ()
    paramwise = value.get("paramwise_cfg")
    if isinstance(paramwise, Mapping) and extra_keys is not None:
        _check_known_keys(paramwise, f"{path}.paramwise_cfg", [*_PARAMWISE, *extra_keys],
                          make_error, f"a key of paramwise_cfg that {constructor.__name__} reads")


def _check_model_cfg(value: Any, path: str, make_error: ErrorFactory) -> None:
    """Reject misspelled common keys of a detector's train_cfg or test_cfg; others are free."""
    for node in walk(value, path, enter=lambda node: not _is_component(node.value)):
        if isinstance(node.value, Mapping) and not _is_component(node.value):
            _check_spelling(node.value, node.path, _MODEL_CFG, make_error,
                            "a key that a detector reads")


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "type" in value


def _check_spelling(
    value: Mapping[str, Any], path: str, known: list[str], make_error: ErrorFactory, expected: str
) -> None:
    for name in value:
        if name not in known and closest_name(str(name), known, 0.85):
            raise make_error(f"{path}.{name}", str(name), known, expected)


def _check_known_keys(
    value: Mapping[str, Any], path: str, known: list[str], make_error: ErrorFactory, expected: str
) -> None:
    for name in value:
        if name not in known:
            raise make_error(f"{path}.{name}", str(name), known, expected)
