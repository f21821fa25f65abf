"""Configs in mmdet's dialect, loaded so that nothing in them can be wrong in silence."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from detkit.config.validate.config_check import check_config, nearest
from detkit.errors import ConfigError, with_kind
from detkit.files import special_file

logger = logging.getLogger(__name__)

# What mmengine's Runner reads from a config.
RUNNER_KEYS = frozenset({
    "model", "work_dir", "train_dataloader", "val_dataloader", "test_dataloader", "train_cfg",
    "val_cfg", "test_cfg", "auto_scale_lr", "optim_wrapper", "param_scheduler", "val_evaluator",
    "test_evaluator", "default_hooks", "custom_hooks", "data_preprocessor", "load_from", "resume",
    "launcher", "env_cfg", "log_processor", "log_level", "visualizer", "default_scope",
    "randomness", "experiment_name", "compile", "sync_bn", "find_unused_parameters",
    "model_wrapper_cfg", "activation_checkpointing", "efficient_conv_bn_eval", "custom_imports",
    "tta_model", "tta_pipeline", "runner_type",
    # Not the Runner but the data check reads this one.
    "data_options",
})
# Names without effect that configs shipped with mmdet carry; they are said, not refused.
_WITHOUT_EFFECT = frozenset({
    "cudnn_benchmark", "gpu_ids", "optimizer_config", "data", "train_pipeline", "test_pipeline",
})


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config with its ``_base_`` files, put ``options`` over it, and check all of it.

    Args:
        path: a config file of mmengine's text dialect (.py), or .json or .yaml.
        options: values by dotted key, as ``--cfg-options`` gives them; a number in a key is an
            index of a list.

    Raises:
        ConfigError: the file cannot be read, a top-level key is none that a run reads, or a
            name or argument in it does not exist. The message names the key's path.
    """
    path = Path(path)
    cfg = _read(path)
    used = _names_read(path, set())
    for key in cfg:
        if key not in RUNNER_KEYS and key not in used:
            _refuse_key(str(key), path, used)
    if options:
        _merge(cfg, options)
    check_config(cfg)
    return cfg


def _read(path: Path) -> Config:
    if not path.is_file():
        raise ConfigError(f"{path}: {special_file(path) or 'no such config file'}",
                          do=_similar_file(path))
    try:
        return Config.fromfile(str(path))
    except RuntimeError as error:
        # mmengine's lazy mode dies so, without a word, when a plain config calls a function.
        raise ConfigError(
            f"{path} cannot be read", got=with_kind(error),
            do=None if isinstance(error, RecursionError) else
            "a config without _base_ holds assignments only, and imports or calls nothing",
        ) from error
    # A config is a program: it may end in anything, as ZeroDivisionError or RecursionError.
    except Exception as error:
        found = with_kind(error)
        raise ConfigError(f"{path} cannot be read", got=found) from error


def _similar_file(path: Path) -> str | None:
    if not path.parent.is_dir():
        return None
    near = nearest(path.name, [file.name for file in path.parent.glob("*.py")])
    return f"did you mean '{path.parent / near}'?" if near else None


def _names_read(path: Path, seen: set[Path]) -> set[str]:
    """Names that the config file ``path`` or one of its bases reads somewhere."""
    path = path.resolve()
    if path in seen or path.suffix != ".py" or not path.is_file():
        return set()
    seen.add(path)
    text = path.read_text(encoding="utf-8")
    # Jinja-like references, {{_base_.name}}, are text that Python cannot parse everywhere.
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
    for base in _bases(tree):
        names |= _names_read(path.parent / base, seen)
    return names


def _bases(tree: ast.Module) -> list[str]:
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


def _refuse_key(key: str, path: Path, used: set[str]) -> None:
    if key in _WITHOUT_EFFECT:
        logger.warning("%s: the top-level key '%s' has no effect", path, key)
        return
    near = nearest(key, RUNNER_KEYS)
    raise ConfigError(
        f"{path}: top-level key '{key}' is none that a run reads, nor is it read in the config",
        do=f"did you mean '{near}'?" if near else "remove it",
    )


def _merge(cfg: Config, options: Mapping[str, Any]) -> None:
    for dotted in options:
        top = dotted.partition(".")[0]
        if top not in RUNNER_KEYS:
            near = nearest(top, RUNNER_KEYS)
            note = f"did you mean '{near}'?" if near else None
            if top in cfg:
                note = "it is a variable of the file, already used: set the key that it went into"
            raise ConfigError(
                f"--cfg-options {dotted}: '{top}' is no key that a run reads", do=note
            )
        _refuse_word_for_dict(cfg, dotted, options[dotted])
    try:
        cfg.merge_from_dict(dict(options))
    except (KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"--cfg-options {' '.join(options)}", got=error) from error


def _refuse_word_for_dict(cfg: Config, dotted: str, value: Any) -> None:
    """Refuse a number or word in the place of a dict: whoever reads it would fail far from here."""
    at: Any = cfg._cfg_dict
    for name in dotted.split("."):
        if isinstance(at, Mapping):
            at = at.get(name)
        elif isinstance(at, (list, tuple)) and name.isdigit() and int(name) < len(at):
            at = at[int(name)]
        else:
            return
    if isinstance(at, Mapping) and isinstance(value, (str, int, float)):
        raise ConfigError(
            f"--cfg-options {dotted}", got=f"'{value}'",
            expected=f"a dict, or a key in it: {', '.join(f'{dotted}.{name}' for name in at)}",
        )
