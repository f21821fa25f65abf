"""Check the config in a checkpoint before anything is built from it: it must be data, not code.

Every ``type`` must be on the list in `allowed_types`, and no string may be a URL or a path. Sources
of initial weights are removed: the checkpoint has all weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import isfinite, prod
from typing import Any

from mmengine.registry import Registry

from detkit import registry as detkit_registry
from detkit.config.validate.allowed_types import (
    DATASET_ARGUMENTS,
    DATASET_TYPES,
    MMCV_OPS,
    MODEL_TYPES,
    NON_REGISTRY_TYPES,
    REGISTRY_NAME_ARGUMENTS,
    TRANSFORM_TYPES,
    is_allowed_type,
)
from detkit.config.validate.config_check import NON_REGISTRY_TYPE_KEYS, check_config
from detkit.config.validate.registry_lookup import lookup
from detkit.errors import ConfigError, WeightsError
from detkit.text import shorten
from detkit.trust import trust_enabled
from detkit.walk import Node, walk, walk_dicts

TRUST_HINT = "pass --trust if you trust whoever made the file (trust=True in Python)"
PIPELINE_KEY = "test_dataloader.dataset.pipeline"
ALLOWED_SCOPES = ("detkit", "mmdet", "mmengine")
_MODEL, _STEPS, _DATASET = "a model component", "a pipeline step", "a dataset in COCO format"
_REGISTRIES: dict[str, tuple[Registry, ...]] = {
    _MODEL: (detkit_registry.MODELS, detkit_registry.TASK_UTILS),
    _STEPS: (detkit_registry.TRANSFORMS,),
    _DATASET: (detkit_registry.DATASETS,),
}
_TYPES = {_MODEL: MODEL_TYPES, _STEPS: TRANSFORM_TYPES, _DATASET: DATASET_TYPES}
# A list of this many values takes about a GB, and so does a square image with sides this long.
MAX_NUMBERS = {_MODEL: 10**8, _STEPS: 2**14, _DATASET: 2**63}
MAX_UPSCALING = 8
_SCALE_KEY = re.compile(r"(^|_)(scale_factor|ratio_range|side_range|scale_range|img_ratios?)$")
_URL = re.compile(r"://")
_PATH_OR_URL = re.compile(r"://|^\s*(?:[~/]|\.\.?[/\\]|[A-Za-z]:[/\\]|\\\\)")


def ensure_safe_model(cfg: Mapping[str, Any], origin: str) -> None:
    """Reject a config whose model has more than numbers, strings and allowed component types.

    Args:
        cfg: its ``model``, which includes the data preprocessor, is checked; call
            `remove_pretrained_sources` before.
        origin: the checkpoint file, for the message.

    Raises:
        WeightsError: a value is rejected; the message has its path in the config.
    """
    detkit_registry.import_mmdet()
    scope = detkit_registry.get_default_scope(cfg)
    if not trust_enabled() and scope not in ALLOWED_SCOPES:
        raise _unsafe_config_error(origin, "default_scope", scope,
                                   f"one of {', '.join(ALLOWED_SCOPES)}")
    _check(cfg["model"], "model", "model", _MODEL, origin, scope)
    try:
        check_config({"default_scope": scope, "model": cfg["model"]})
    except ConfigError as error:
        raise WeightsError(f"the config in {origin}: {error}") from error


def ensure_safe_pipeline(pipeline: Sequence[Mapping[str, Any]], origin: str) -> None:
    """Reject a test pipeline with a step that is not allowed; loading steps are never built.

    Raises:
        WeightsError: a value is rejected; the message has its path in the config.
    """
    detkit_registry.import_mmdet()
    for index, step in enumerate(pipeline):
        if not is_loading_step(step):
            _check(step, f"{PIPELINE_KEY}[{index}]", "", _STEPS, origin, detkit_registry.SCOPE)
    upscaling = prod(_scale_factors([step for step in pipeline if not is_loading_step(step)]))
    if upscaling > MAX_UPSCALING and not trust_enabled():
        raise _unsafe_config_error(origin, f"{PIPELINE_KEY} upscales images",
                                   f"{upscaling:g} times", f"at most {MAX_UPSCALING} times")


def is_loading_step(step: Mapping[str, Any]) -> bool:
    """Whether a step loads images or annotations; inference gets images as arrays instead."""
    name = str(step.get("type", "")).rsplit(".", 1)[-1]
    return name.startswith("Load") or name == "FilterAnnotations"


def ensure_safe_dataset(dataset: Mapping[str, Any], path: str, scope: str) -> None:
    """Reject a dataset of a checkpoint's config that reads more than a COCO annotation file.

    Args:
        dataset: its config.
        path: of ``dataset`` in the config, for the message.
        scope: the default scope in which it is built.

    Raises:
        WeightsError: its type or one of its arguments is not allowed.
    """
    _check(dataset, path, "dataset", _DATASET, "the checkpoint", scope)
    for name, value in dataset.items():
        if value is not None and name not in DATASET_ARGUMENTS and not trust_enabled():
            raise _unsafe_config_error("the checkpoint", f"{path}.{name}", value, "none")


def remove_pretrained_sources(value: Any) -> None:
    """Disable every ``init_cfg`` and ``pretrained`` in ``value``, in place."""
    for _, component in walk_dicts(value):
        for name in ("init_cfg", "pretrained"):
            if name in component:
                component[name] = False if isinstance(component[name], bool) else None


def _check(value: Any, path: str, key: str, category: str, origin: str, scope: str) -> None:
    # A component is built in the scope of the closest _scope_ around it, or in the default scope.
    scopes = {scope, *(str(component["_scope_"]) for _, component in walk_dicts(value)
                       if "_scope_" in component)}

    def check_type(name: Any, path: str, key: str) -> None:
        _check_type(name, path, key, category, origin, scopes)

    for node in walk(value, path, key):
        if isinstance(node.value, Mapping):
            _check_dict(node, category, origin, check_type)
        elif trust_enabled() or node.key == "type":
            continue  # A type has been checked with its dict.
        elif isinstance(node.value, (int, float)):
            _check_number(node.value, node.path, category, origin)
        elif isinstance(node.value, str):
            if (_URL if category == _DATASET else _PATH_OR_URL).search(node.value):
                raise _unsafe_config_error(origin, node.path, node.value, "no path and no URL")


def _check_dict(node: Node, category: str, origin: str,
                check_type: Callable[[Any, str, str], None]) -> None:
    path, value = node.path, node.value
    if "type" in value:
        check_type(value["type"], f"{path}.type", node.key)
    for name, item in value.items():
        if not isinstance(name, str):
            raise WeightsError(f"the config in {origin}: {path}", expected="keys of type str",
                               got=f"a key of the type {type(name).__name__}")
        if name == "_scope_" and item not in ALLOWED_SCOPES and not trust_enabled():
            raise _unsafe_config_error(origin, f"{path}.{name}", item,
                                       f"one of {', '.join(ALLOWED_SCOPES)}")
        if category == _MODEL and name in REGISTRY_NAME_ARGUMENTS and isinstance(item, str) \
                and item not in REGISTRY_NAME_ARGUMENTS[name]:
            check_type(item, f"{path}.{name}", "")


def _check_number(value: float, path: str, category: str, origin: str) -> None:
    """Reject an image size or a list length that does not fit in memory."""
    limit = MAX_NUMBERS[category]
    if isfinite(value) and abs(value) > limit and (category == _STEPS or isinstance(value, int)):
        raise _unsafe_config_error(origin, path, value, f"a number of at most {limit:,}")


def _scale_factors(value: Any, key: str = "") -> Iterator[float]:
    """Yield the factor by which each argument that resizes an image can enlarge its sides."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _scale_factors(item, str(name))
    elif isinstance(value, (list, tuple)):
        factors = [factor for item in value for factor in _scale_factors(item, key)]
        # One value of a range or a choice is used; the factors of consecutive steps multiply.
        yield from [max(factors, default=1.0)] if _SCALE_KEY.search(key) else factors
    elif _SCALE_KEY.search(key) and isinstance(value, (int, float)) and value > 1:
        yield value


def _check_type(
    name: Any, path: str, key: str, category: str, origin: str, scopes: Collection[str]
) -> None:
    """Reject a name that is not registered, which mmengine would import, or not allowed.

    Of several classes with one name, only those that the registries would build in ``scopes`` are
    checked, not the classes that they hide in a parent registry.
    """
    targets = []
    if isinstance(name, str):
        candidates = [lookup(registry, name, scope)
                      for registry in _REGISTRIES[category] for scope in scopes]
        targets = [target for target in candidates if target is not None]
        is_literal = key in NON_REGISTRY_TYPE_KEYS and name in NON_REGISTRY_TYPES
        if category == _MODEL and not targets and (name in MMCV_OPS or is_literal):
            return
    if not targets:
        raise _unsafe_config_error(origin, path, name,
                                   "a registered name; names are never imported", None)
    if not trust_enabled() and not all(is_allowed_type(target, _TYPES[category])
                                       for target in targets):
        raise _unsafe_config_error(origin, path, name, f"{category} from the list of safe types")


def _unsafe_config_error(
    origin: str, path: str, got: Any, expected: str, hint: str | None = TRUST_HINT
) -> WeightsError:
    return WeightsError(f"the config in {origin}: {path}", got=shorten(repr(got), 83),
                        expected=expected, hint=hint)
