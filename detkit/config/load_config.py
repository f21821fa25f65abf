"""Load a config in mmdet's format and validate all of it."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from detkit.aliases import update_names
from detkit.config.find_config import find_config
from detkit.config.validate.config_check import check_config
from detkit.errors import ConfigError, format_error
from detkit.text import name_hint

logger = logging.getLogger(__name__)

# Top-level keys that mmengine's Runner reads.
RUNNER_KEYS = frozenset({
    "model", "work_dir", "train_dataloader", "val_dataloader", "test_dataloader", "train_cfg",
    "val_cfg", "test_cfg", "auto_scale_lr", "optim_wrapper", "param_scheduler", "val_evaluator",
    "test_evaluator", "default_hooks", "custom_hooks", "data_preprocessor", "load_from", "resume",
    "launcher", "env_cfg", "log_processor", "log_level", "visualizer", "default_scope",
    "randomness", "experiment_name", "compile", "sync_bn", "find_unused_parameters",
    "model_wrapper_cfg", "activation_checkpointing", "efficient_conv_bn_eval", "custom_imports",
    "tta_model", "tta_pipeline", "runner_type",
    # Read by detkit's data check.
    "data_options",
})
# Keys without effect that configs shipped with mmdet have: logged, not an error.
_IGNORED_KEYS = frozenset({
    "cudnn_benchmark", "gpu_ids", "optimizer_config", "data", "train_pipeline", "test_pipeline",
})


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config with its ``_base_`` files, apply ``options``, and validate the result.

    Args:
        path: a config file: .py in mmengine's text format, .json or .yaml; or the name of one of
            detkit's configs, see `find_config`.
        options: values by dotted key, as in ``--cfg-options``; a number in a key is a list index.

    Raises:
        ConfigError: the file cannot be read, a top-level key is unknown, or a name or argument
            does not exist. The message has the path of the key.
    """
    path = find_config(path)
    cfg = _read(path)
    referenced = _referenced_names(path, set())
    for key in cfg:
        if key not in RUNNER_KEYS and key not in referenced:
            _check_top_level_key(str(key), path, referenced)
    if options:
        _merge_options(cfg, options)
    update_names(cfg._cfg_dict)
    check_config(cfg)
    return cfg


def _read(path: Path) -> Config:
    try:
        return Config.fromfile(str(path))
    except RuntimeError as error:
        # mmengine's lazy mode fails like this, without a message, if a config calls a function.
        raise ConfigError(
            f"{path} cannot be read", got=format_error(error),
            hint=None if isinstance(error, RecursionError) else
            "a config without _base_ must contain only assignments, no imports and no calls",
        ) from error
    # A .py config is a program and may raise anything, such as ZeroDivisionError.
    except Exception as error:
        reason = format_error(error)
        raise ConfigError(f"{path} cannot be read", got=reason) from error


def _referenced_names(path: Path, visited: set[Path]) -> set[str]:
    """Names that the config file ``path`` or one of its base files reads."""
    path = path.resolve()
    if path in visited or path.suffix != ".py" or not path.is_file():
        return set()
    visited.add(path)
    text = path.read_text(encoding="utf-8")
    # References such as {{_base_.name}} are not valid Python everywhere.
    names = set(re.findall(r"_base_\.(\w+)", text))
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in getattr(node, "names", [])}
    for base in _base_files(tree):
        names |= _referenced_names(path.parent / base, visited)
    return names


def _base_files(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "_base_" for target in node.targets
        ):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                return []
            return [value] if isinstance(value, str) else [str(item) for item in value]
    return []


def _check_top_level_key(key: str, path: Path, referenced: set[str]) -> None:
    if key in _IGNORED_KEYS:
        logger.warning("%s: the top-level key '%s' has no effect", path, key)
        return
    raise ConfigError(f"{path}: unknown top-level key '{key}'",
                      hint=name_hint(key, RUNNER_KEYS) or "remove it")


def _merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    for dotted_key in options:
        top_key = dotted_key.partition(".")[0]
        if top_key not in RUNNER_KEYS:
            hint = name_hint(top_key, RUNNER_KEYS)
            if top_key in cfg:
                hint = (f"'{top_key}' is a variable of the file and already evaluated: set the "
                        "keys that use it")
            raise ConfigError(f"--cfg-options {dotted_key}: unknown top-level key '{top_key}'",
                              hint=hint)
        _check_option_type(cfg, dotted_key, options[dotted_key])
    try:
        cfg.merge_from_dict(dict(options))
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"--cfg-options {' '.join(options)}", got=error) from error


def _check_option_type(cfg: Config, dotted_key: str, value: Any) -> None:
    """Reject a scalar in place of a dict; it would cause an unrelated error later."""
    current: Any = cfg._cfg_dict
    for name in dotted_key.split("."):
        if isinstance(current, Mapping):
            current = current.get(name)
        elif isinstance(current, (list, tuple)) and name.isdigit() and int(name) < len(current):
            current = current[int(name)]
        else:
            return
    if isinstance(current, Mapping) and isinstance(value, (str, int, float)):
        keys = ", ".join(f"{dotted_key}.{name}" for name in current)
        raise ConfigError(f"--cfg-options {dotted_key}", got=f"'{value}'",
                          expected=f"a dict, or a key in it: {keys}")
