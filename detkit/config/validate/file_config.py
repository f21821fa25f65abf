"""The config inside a file, checked whole before anything of it is built: it is data, not code.

Every ``type`` in it must be on the list of `file_types`, and no text may be an address or a path.
What would begin the weights from elsewhere is taken out: the file has them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, prod
from typing import Any

from mmengine.registry import Registry

from detkit import registry as detkit_registry
from detkit.config.validate.config_check import NON_REGISTRY_TYPE_KEYS, check_config
from detkit.config.validate.file_types import (
    DATASET_ARGUMENTS,
    DATASET_TYPES,
    MMCV_OPS,
    MODEL_TYPES,
    NON_REGISTRY_TYPES,
    REGISTRY_NAME_ARGUMENTS,
    TRANSFORM_TYPES,
    is_allowed_type,
)
from detkit.config.validate.registry_lookup import lookup_all
from detkit.errors import ConfigError, WeightsError
from detkit.trust import trust_enabled

TRUST_HINT = "pass --trust if you trust whoever made the file (trust=True in Python)"
PIPELINE_KEY = "test_dataloader.dataset.pipeline"
ALLOWED_SCOPES = ("detkit", "mmdet", "mmengine")
_MODEL, _STEPS, _DATASET = "a component of a model", "a pipeline step", "a data set in COCO's form"
_REGISTRIES: dict[str, tuple[Registry, ...]] = {
    _MODEL: (detkit_registry.MODELS, detkit_registry.TASK_UTILS),
    _STEPS: (detkit_registry.TRANSFORMS,),
    _DATASET: (detkit_registry.DATASETS,),
}
_TYPES = {_MODEL: MODEL_TYPES, _STEPS: TRANSFORM_TYPES, _DATASET: DATASET_TYPES}
# A list of so many values takes a GB, and a square picture of such a side, too.
MAX_NUMBERS = {_MODEL: 10**8, _STEPS: 2**14, _DATASET: 2**63}
MAX_UPSCALING = 8
_SCALE_KEY = re.compile(r"(^|_)(scale_factor|ratio_range|side_range|scale_range|img_ratios?)$")
_URL = re.compile(r"://")
_PATH_OR_URL = re.compile(r"://|^\s*(?:[~/]|\.\.?[/\\]|[A-Za-z]:[/\\]|\\\\)")


def ensure_safe_model(cfg: Mapping[str, Any], origin: str) -> None:
    """Refuse a config whose model is more than numbers, texts and listed component types.

    Args:
        cfg: its ``model``, with the data preprocessor in it, is checked;
            `remove_pretrained_sources` is done.
        origin: the file, for the message.

    Raises:
        WeightsError: the first thing that is refused, by its path in the config.
    """
    detkit_registry.import_mmdet()
    scope = str(cfg.get("default_scope") or detkit_registry.SCOPE)
    if not trust_enabled() and scope not in ALLOWED_SCOPES:
        raise _unsafe_config_error(origin, "default_scope", scope,
                                   f"one of {', '.join(ALLOWED_SCOPES)}")
    _check(cfg["model"], "model", "model", _MODEL, origin)
    try:
        check_config({"default_scope": scope, "model": cfg["model"]})
    except ConfigError as error:
        raise WeightsError(f"the config in {origin}: {error}") from error


def ensure_safe_pipeline(pipeline: Sequence[Mapping[str, Any]], origin: str) -> None:
    """Refuse a test pipeline with a step that is not on the list; loaders are never built.

    Raises:
        WeightsError: the first thing that is refused, by its path in the config.
    """
    detkit_registry.import_mmdet()
    for index, step in enumerate(pipeline):
        if not is_loading_step(step):
            _check(step, f"{PIPELINE_KEY}[{index}]", "", _STEPS, origin)
    upscaling = prod(_scale_factors([step for step in pipeline if not is_loading_step(step)]))
    if upscaling > MAX_UPSCALING and not trust_enabled():
        raise _unsafe_config_error(origin, f"{PIPELINE_KEY} enlarges an image's sides",
                                   f"{upscaling:g} times", f"at most {MAX_UPSCALING} times")


def is_loading_step(step: Mapping[str, Any]) -> bool:
    """Whether a step loads images or annotations, which come as arrays or not at all here."""
    name = str(step.get("type", "")).rsplit(".", 1)[-1]
    return name.startswith("Load") or name == "FilterAnnotations"


def ensure_safe_dataset(dataset: Mapping[str, Any], path: str) -> None:
    """Refuse a data set of a file's config that reads more than an annotation file of COCO's form.

    Raises:
        WeightsError: its type or one of its arguments is not on the list.
    """
    _check(dataset, path, "dataset", _DATASET, "the checkpoint")
    for name, value in dataset.items():
        if value is not None and name not in DATASET_ARGUMENTS and not trust_enabled():
            raise _unsafe_config_error("the checkpoint", f"{path}.{name}", value, "none")


def remove_pretrained_sources(value: Any) -> None:
    """Take out of ``value``, in place, what names the weights that a model begins with."""
    if isinstance(value, Mapping):
        for name in ("init_cfg", "pretrained"):
            if name in value:
                value[name] = False if value[name] is True else None  # type: ignore[index]
        for item in value.values():
            remove_pretrained_sources(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            remove_pretrained_sources(item)


def _check(value: Any, path: str, key: str, category: str, origin: str) -> None:
    if isinstance(value, Mapping):
        if "type" in value:
            _check_type(value["type"], f"{path}.type", key, category, origin)
        for name, item in value.items():
            inner = f"{path}.{name}"
            if not isinstance(name, str):
                raise WeightsError(f"the config in {origin}: {path}", expected="keys that are text",
                                   got=f"a key of the type {type(name).__name__}")
            if name == "_scope_" and item not in ALLOWED_SCOPES and not trust_enabled():
                raise _unsafe_config_error(origin, inner, item,
                                           f"one of {', '.join(ALLOWED_SCOPES)}")
            if category == _MODEL and name in REGISTRY_NAME_ARGUMENTS and isinstance(item, str) \
                    and item not in REGISTRY_NAME_ARGUMENTS[name]:
                _check_type(item, inner, "", category, origin)
            if name != "type":
                _check(item, inner, name, category, origin)
    elif isinstance(value, (list, tuple, set)):
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]", key, category, origin)
    elif isinstance(value, (int, float)) and not trust_enabled():
        _check_number(value, path, category, origin)
    elif isinstance(value, str) and not trust_enabled():
        if (_URL if category == _DATASET else _PATH_OR_URL).search(value):
            raise _unsafe_config_error(origin, path, value, "no path or address")


def _check_number(value: float, path: str, category: str, origin: str) -> None:
    """Refuse a size that no memory has room for: of a picture's side, or of a list."""
    limit = MAX_NUMBERS[category]
    if isfinite(value) and abs(value) > limit and (category == _STEPS or isinstance(value, int)):
        raise _unsafe_config_error(origin, path, value, f"a number of at most {limit:,}")


def _scale_factors(value: Any, key: str = "") -> Iterator[float]:
    """By how much each argument that scales a picture enlarges its sides."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _scale_factors(item, str(name))
    elif isinstance(value, (list, tuple)):
        found = [factor for item in value for factor in _scale_factors(item, key)]
        # Of a range or a choice one is taken; steps follow on each other.
        yield from [max(found, default=1.0)] if _SCALE_KEY.search(key) else found
    elif _SCALE_KEY.search(key) and isinstance(value, (int, float)) and value > 1:
        yield value


def _check_type(name: Any, path: str, key: str, category: str, origin: str) -> None:
    """Refuse a name that no registry has, which mmengine would import, or that is not listed."""
    found = []
    if isinstance(name, str):
        found = [
            entry for registry in _REGISTRIES[category] for entry in lookup_all(registry, name)
        ]
        is_literal = key in NON_REGISTRY_TYPE_KEYS and name in NON_REGISTRY_TYPES
        if category == _MODEL and not found and (name in MMCV_OPS or is_literal):
            return
    if not found:
        raise _unsafe_config_error(origin, path, name, "a registered name, for nothing is imported",
                                   None)
    if not trust_enabled() and not all(is_allowed_type(entry, _TYPES[category]) for entry in found):
        raise _unsafe_config_error(origin, path, name,
                                   f"{category} that is built from numbers and texts alone")


def _unsafe_config_error(
    origin: str, path: str, got: Any, expected: str, hint: str | None = TRUST_HINT
) -> WeightsError:
    shown = repr(got)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
    return WeightsError(f"the config in {origin}: {path}", got=shown, expected=expected, hint=hint)
