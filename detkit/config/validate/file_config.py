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

from detkit import registry as ours
from detkit.config.validate.config_check import OWN_WORD_KEYS, check_config
from detkit.config.validate.file_types import (
    DATASET_ARGUMENTS,
    DATASET_TYPES,
    MODEL_TYPES,
    NAMING_ARGUMENTS,
    OPERATIONS,
    OWN_WORDS,
    STEP_TYPES,
    is_listed,
)
from detkit.config.validate.registry_lookup import entries_of
from detkit.errors import ConfigError, WeightsError
from detkit.trust import trusts_files

TRUST = "pass --trust if you trust whoever made the file (trust=True in Python)"
PIPELINE = "test_dataloader.dataset.pipeline"
SCOPES = ("detkit", "mmdet", "mmengine")
_MODEL, _STEPS, _DATASET = "a component of a model", "a pipeline step", "a data set in COCO's form"
_REGISTRIES: dict[str, tuple[Registry, ...]] = {
    _MODEL: (ours.MODELS, ours.TASK_UTILS),
    _STEPS: (ours.TRANSFORMS,),
    _DATASET: (ours.DATASETS,),
}
_TYPES = {_MODEL: MODEL_TYPES, _STEPS: STEP_TYPES, _DATASET: DATASET_TYPES}
# A list of so many values takes a GB, and a square picture of such a side, too.
MOST_IN = {_MODEL: 10**8, _STEPS: 2**14, _DATASET: 2**63}
MOST_GROWTH = 8
_SCALING = re.compile(r"(^|_)(scale_factor|ratio_range|side_range|scale_range|img_ratios?)$")
_ADDRESS = re.compile(r"://")
_PLACE = re.compile(r"://|^\s*(?:[~/]|\.\.?[/\\]|[A-Za-z]:[/\\]|\\\\)")


def ensure_plain_model(cfg: Mapping[str, Any], origin: str) -> None:
    """Refuse a config whose model is more than numbers, texts and listed component types.

    Args:
        cfg: its ``model``, with the data preprocessor in it, is checked; `drop_sources` is done.
        origin: the file, for the message.

    Raises:
        WeightsError: the first thing that is refused, by its path in the config.
    """
    ours.import_mmdet()
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    if not trusts_files() and scope not in SCOPES:
        raise _refusal(origin, "default_scope", scope, f"one of {', '.join(SCOPES)}")
    _check(cfg["model"], "model", "model", _MODEL, origin)
    try:
        check_config({"default_scope": scope, "model": cfg["model"]})
    except ConfigError as error:
        raise WeightsError(f"the config in {origin}: {error}") from error


def ensure_plain_steps(pipeline: Sequence[Mapping[str, Any]], origin: str) -> None:
    """Refuse a test pipeline with a step that is not on the list; loaders are never built.

    Raises:
        WeightsError: the first thing that is refused, by its path in the config.
    """
    ours.import_mmdet()
    for index, step in enumerate(pipeline):
        if not is_loader(step):
            _check(step, f"{PIPELINE}[{index}]", "", _STEPS, origin)
    growth = prod(_factors([step for step in pipeline if not is_loader(step)]))
    if growth > MOST_GROWTH and not trusts_files():
        raise _refusal(origin, f"{PIPELINE} enlarges an image's sides", f"{growth:g} times",
                       f"at most {MOST_GROWTH} times")


def is_loader(step: Mapping[str, Any]) -> bool:
    """Whether a step loads images or annotations, which come as arrays or not at all here."""
    name = str(step.get("type", "")).rsplit(".", 1)[-1]
    return name.startswith("Load") or name == "FilterAnnotations"


def ensure_plain_dataset(dataset: Mapping[str, Any], path: str) -> None:
    """Refuse a data set of a file's config that reads more than an annotation file of COCO's form.

    Raises:
        WeightsError: its type or one of its arguments is not on the list.
    """
    _check(dataset, path, "dataset", _DATASET, "the checkpoint")
    for name, value in dataset.items():
        if value is not None and name not in DATASET_ARGUMENTS and not trusts_files():
            raise _refusal("the checkpoint", f"{path}.{name}", value, "none")


def drop_sources(value: Any) -> None:
    """Take out of ``value``, in place, what names the weights that a model begins with."""
    if isinstance(value, Mapping):
        for name in ("init_cfg", "pretrained"):
            if name in value:
                value[name] = False if value[name] is True else None  # type: ignore[index]
        for item in value.values():
            drop_sources(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            drop_sources(item)


def _check(value: Any, path: str, key: str, kind: str, origin: str) -> None:
    if isinstance(value, Mapping):
        if "type" in value:
            _check_type(value["type"], f"{path}.type", key, kind, origin)
        for name, item in value.items():
            inner = f"{path}.{name}"
            if not isinstance(name, str):
                raise WeightsError(f"the config in {origin}: {path}", expected="keys that are text",
                                   got=f"a key of the type {type(name).__name__}")
            if name == "_scope_" and item not in SCOPES and not trusts_files():
                raise _refusal(origin, inner, item, f"one of {', '.join(SCOPES)}")
            if kind == _MODEL and name in NAMING_ARGUMENTS and isinstance(item, str) \
                    and item not in NAMING_ARGUMENTS[name]:
                _check_type(item, inner, "", kind, origin)
            if name != "type":
                _check(item, inner, name, kind, origin)
    elif isinstance(value, (list, tuple, set)):
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]", key, kind, origin)
    elif isinstance(value, (int, float)) and not trusts_files():
        _check_number(value, path, kind, origin)
    elif isinstance(value, str) and not trusts_files():
        if (_ADDRESS if kind == _DATASET else _PLACE).search(value):
            raise _refusal(origin, path, value, "no path or address")


def _check_number(value: float, path: str, kind: str, origin: str) -> None:
    """Refuse a size that no memory has room for: of a picture's side, or of a list."""
    most = MOST_IN[kind]
    if isfinite(value) and abs(value) > most and (kind == _STEPS or isinstance(value, int)):
        raise _refusal(origin, path, value, f"a number of at most {most:,}")


def _factors(value: Any, key: str = "") -> Iterator[float]:
    """By how much each argument that scales a picture enlarges its sides."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _factors(item, str(name))
    elif isinstance(value, (list, tuple)):
        found = [factor for item in value for factor in _factors(item, key)]
        # Of a range or a choice one is taken; steps follow on each other.
        yield from [max(found, default=1.0)] if _SCALING.search(key) else found
    elif _SCALING.search(key) and isinstance(value, (int, float)) and value > 1:
        yield value


def _check_type(name: Any, path: str, key: str, kind: str, origin: str) -> None:
    """Refuse a name that no registry has, which mmengine would import, or that is not listed."""
    found = []
    if isinstance(name, str):
        found = [one for registry in _REGISTRIES[kind] for one in entries_of(registry, name)]
        word = key in OWN_WORD_KEYS and name in OWN_WORDS
        if kind == _MODEL and not found and (name in OPERATIONS or word):
            return
    if not found:
        raise _refusal(origin, path, name, "a registered name, for nothing is imported", None)
    if not trusts_files() and not all(is_listed(one, _TYPES[kind]) for one in found):
        raise _refusal(origin, path, name, f"{kind} that is built from numbers and texts alone")


def _refusal(
    origin: str, path: str, got: Any, expected: str, do: str | None = TRUST
) -> WeightsError:
    shown = repr(got)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
    return WeightsError(f"the config in {origin}: {path}", got=shown, expected=expected, do=do)
