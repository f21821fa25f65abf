"""Dicts of a config that have no ``type``, but a fixed set of keys all the same."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.data import DataLoader

Complain = Callable[[str, str, list[str], str], Exception]

_DATALOADER = [
    *(name for name in inspect.signature(DataLoader.__init__).parameters if name != "self"),
    "num_batch_per_epoch", "disable_subprocess_warning",
]
_PARAMWISE = [
    "custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult",
    "dwconv_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate",
]
_CLIP_GRAD = ["max_norm", "norm_type", "error_if_nonfinite", "foreach", "clip_value", "type"]
_DEFAULT_HOOKS = [
    "runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint",
    "visualization",
]
_TOP = {
    "env_cfg": ["cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"],
    "randomness": ["seed", "diff_rank_seed", "deterministic"],
    "auto_scale_lr": ["enable", "base_batch_size"],
}


def check(value: Any, path: str, complain: Complain) -> None:
    """Check the keys of the dict at the top-level key ``path``; other values pass."""
    if not isinstance(value, Mapping):
        return
    if path.endswith("_dataloader"):
        _only(value, path, _DATALOADER, complain, "a key of a dataloader")
    elif path in _TOP:
        _only(value, path, _TOP[path], complain, f"a key of {path}")
    elif path == "optim_wrapper":
        _check_optim_wrapper(value, path, complain)
    elif path == "default_hooks":
        for name in value:
            # Other names are free; a near miss of a default would leave that default in force.
            if name not in _DEFAULT_HOOKS and difflib.get_close_matches(
                str(name), _DEFAULT_HOOKS, 1, 0.85
            ):
                raise complain(f"{path}.{name}", str(name), _DEFAULT_HOOKS, "a default hook")


def _check_optim_wrapper(value: Mapping[str, Any], path: str, complain: Complain) -> None:
    clip_grad = value.get("clip_grad")
    if isinstance(clip_grad, Mapping):
        _only(clip_grad, f"{path}.clip_grad", _CLIP_GRAD, complain, "a key of clip_grad")
    paramwise = value.get("paramwise_cfg")
    if not isinstance(paramwise, Mapping) or value.get("constructor") is not None:
        return
    _only(paramwise, f"{path}.paramwise_cfg", _PARAMWISE, complain, "a key of paramwise_cfg")


def _only(
    value: Mapping[str, Any], path: str, known: list[str], complain: Complain, what: str
) -> None:
    for name in value:
        if name not in known:
            raise complain(f"{path}.{name}", str(name), known, what)
