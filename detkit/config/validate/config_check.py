"""Every name and argument of a config, checked before anything is built."""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine.registry import Registry

from detkit import registry as ours
from detkit.config.validate import key_schema
from detkit.config.validate.built_keys import BUILT_LISTS, is_built
from detkit.config.validate.mmdet_exceptions import ACCEPTED_WITHOUT_EFFECT, TAKEN_BY_THE_HEAD
from detkit.config.validate.registry_lookup import (
    TOP_LEVEL,
    names_in,
    registered,
    registry_below,
    stand_ins,
)
from detkit.config.validate.signatures import OPEN, Signature, signature_of
from detkit.errors import ConfigError

logger = logging.getLogger(__name__)

# What builders take out of a dict before they call the class.
_TAKEN = frozenset({"type", "_scope_"})
_TAKEN_BY_REGISTRY = {
    ours.HOOKS.name: frozenset({"priority"}),
    ours.WEIGHT_INITIALIZERS.name: frozenset({"layer", "override", "name"}),
    ours.PARAM_SCHEDULERS.name: frozenset({"convert_to_iter_based"}),
    ours.OPTIM_WRAPPERS.name: frozenset({"optimizer", "constructor", "paramwise_cfg"}),
}
_TAKEN_BY_KEY = {
    "norm_cfg": frozenset({"requires_grad"}),
    "dcn": frozenset({"fallback_on_stride"}),
    "conv_cfg": frozenset({"fallback_on_stride"}),
    "nms": frozenset({"class_agnostic", "split_thr", "max_num"}),
    "upsample_cfg": frozenset({"scale_factor"}),
    "cfg": frozenset({"postfix"}),
}
# Arguments that the builder, not the config, gives.
_INJECTED = {
    ours.TRANSFORMS.name: frozenset[str](),
    ours.HOOKS.name: frozenset[str](),
    ours.PARAM_SCHEDULERS.name: frozenset({"optimizer"}),
    ours.OPTIMIZERS.name: frozenset({"params"}),
}
# Classes that hand their **kwargs to the class that one of their arguments names.
_HANDED_TO = {
    "EMAHook": ("ema_type", ours.MODELS, frozenset({"model"})),
    "RandomResize": ("resize_type", ours.TRANSFORMS, frozenset({"scale"})),
    "RandomChoiceResize": ("resize_type", ours.TRANSFORMS, frozenset({"scale"})),
}
# Classes that keep their **kwargs for nothing that a config could mean.
_CLOSED = frozenset({"CheckpointHook"})
# Classes whose base stands in another library, and is an empty one where that is missing.
_OPEN = frozenset({"BaseReID"})
# Keys below which ``type`` is a word of the class that reads it, not a registered name.
OWN_WORD_KEYS = frozenset({
    "adapt_cfg", "same_up_trans", "same_down_trans", "across_lateral_trans", "across_down_trans",
    "across_up_trans", "across_skip_trans", "output_trans",
})
# Classes whose inner ``type`` names belong to another library.
_FOREIGN_INSIDE = frozenset({"Albu", "Detectron2Wrapper"})


def check_config(cfg: Mapping[str, Any]) -> None:
    """Look up every ``type`` in ``cfg`` and check its arguments against its signature.

    Raises:
        ConfigError: the first name or argument that does not exist, by its path, with the
            nearest right one.
    """
    ours.import_mmdet()  # Here, where it is quiet: the first look-up would do it with its warnings.
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    for key, value in cfg.items():
        key_schema.check(value, key, unknown_name)
        if key in TOP_LEVEL:
            _check(value, key, key, TOP_LEVEL[key], scope)


def _check(
    value: Any, path: str, key: str, registry: Registry, scope: str, owner: Any = None
) -> None:
    """Check ``value``, that ``owner``, the class built from the typed dict around it, is given."""
    if isinstance(value, Mapping):
        if "type" in value and key not in OWN_WORD_KEYS:
            owner = _check_built(value, path, key, registry, scope)
            if short_name(value["type"]) in _FOREIGN_INSIDE:
                return
        elif "type" not in value:
            _refuse_misspelt_type(value, path)
            _refuse_untyped(value, path, key, registry, owner)
        for name, item in value.items():
            _check(item, f"{path}.{name}", str(name), registry_below(str(name), registry),
                   scope, owner)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]", key, registry, scope, owner)


def _check_built(
    value: Mapping[str, Any], path: str, key: str, registry: Registry, scope: str
) -> Any | None:
    """Check the arguments of the class that ``value`` names, and return that class if known."""
    target = find(value["type"], registry, path, scope)
    if target is None:
        return None
    taken = _TAKEN | _TAKEN_BY_REGISTRY.get(registry.name, frozenset())
    taken |= next((t for end, t in _TAKEN_BY_KEY.items() if key.endswith(end)), frozenset())
    signature = _signature(target, value)
    if signature.closed:
        for name in value:
            if name not in taken and name not in signature.names:
                if (short_name(value["type"]), name) in TAKEN_BY_THE_HEAD:
                    continue
                if (short_name(value["type"]), name) in ACCEPTED_WITHOUT_EFFECT:
                    logger.warning("%s.%s has no effect", path, name)
                    continue
                raise unknown_name(f"{path}.{name}", str(name), signature.names | taken,
                                   f"an argument of {short_name(value['type'])}")
    needed = signature.required - _INJECTED.get(registry.name, signature.required)
    missing = sorted(needed - set(value))
    if missing:
        kind = short_name(value["type"])
        raise ConfigError(f"{path}: {kind} needs '{missing[0]}', which is not given")
    return target


def _signature(target: Any, value: Mapping[str, Any]) -> Signature:
    found = signature_of(target)
    name = getattr(target, "__name__", "")
    if name in _OPEN:
        return OPEN
    if name in _CLOSED:
        return Signature(found.names, found.required)
    if name in _HANDED_TO:
        argument, registry, given = _HANDED_TO[name]
        inner_name = value.get(argument) or inspect.signature(target).parameters[argument].default
        inner = registered(registry, inner_name) if isinstance(inner_name, str) else None
        if inner is not None:
            base = signature_of(inner)
            return Signature(found.names | (base.names - given), found.required, base.closed)
    return found


def find(name: Any, registry: Registry, path: str, scope: str = ours.SCOPE) -> Any | None:
    """What ``type=name`` at ``path`` will be built from; None when it cannot be checked.

    Raises:
        ConfigError: no registry that serves here has the name.
    """
    if not isinstance(name, str):
        if callable(name):
            return name
        raise ConfigError(f"{path}.type", got=repr(name), expected="a name")
    serving = stand_ins(registry)
    for candidate in serving:
        target = registered(candidate, name, scope)
        if target is not None:
            return target
    if registry in (ours.MODELS, ours.TASK_UTILS):
        target = _operator(name)
        if target is not None:
            return target
    if "." in name:
        return _imported(name, path)
    known = [known for candidate in serving for known in names_in(candidate, scope)]
    raise unknown_name(f"{path}.type", name, known, f"the name of a {registry.name}",
                       _elsewhere(name))


def _operator(name: str) -> Any | None:
    import mmcv.ops
    import torch

    return getattr(mmcv.ops, name, None) or getattr(torch.nn, name, None)


def _imported(name: str, path: str) -> Any | None:
    """The class that a dotted name spells, or None for a scope of a library not known here."""
    from mmengine.utils import get_object_from_string

    try:
        target = get_object_from_string(name)
    except (ImportError, AttributeError, ValueError):
        target = None
    if target is None:
        raise ConfigError(f"{path}.type", got=f"'{name}'", expected="a registered name",
                          do="install the library that registers it, or name it in custom_imports")
    return target


def _elsewhere(name: str) -> str | None:
    for other in vars(ours).values():
        if isinstance(other, Registry) and registered(other, name) is not None:
            return f"'{name}' is a {other.name}"
    return None


def _refuse_misspelt_type(value: Mapping[str, Any], path: str) -> None:
    for name, item in value.items():
        folded = str(name).lower()
        misspelt = sorted(folded) == sorted("type") or folded in ("typ", "ype", "typee")
        if misspelt and isinstance(item, str):
            raise unknown_name(f"{path}.{name}", str(name), ["type"], "a key of this dict")


def _refuse_untyped(
    value: Mapping[str, Any], path: str, key: str, registry: Registry, owner: Any
) -> None:
    """Refuse a dict that a class is built from and that does not say which."""
    listed = path.endswith("]")
    if not (registry is ours.MODELS and is_built(key, owner) or listed and key in BUILT_LISTS):
        return
    note = ("a list takes the place of the base config's whole list: write each of its dicts out"
            if listed else "add type, or set single keys of the base config's dict only")
    raise ConfigError(f"{path} has no type", got=f"a dict with {', '.join(map(str, value))}"
                      if value else "an empty dict", expected="type='NAME' among its keys", do=note)


def short_name(name: Any) -> str:
    """The name of a class without its scope or module; ``name`` is that text or the class."""
    spelt = name if isinstance(name, str) else str(getattr(name, "__name__", name))
    return spelt.rpartition(".")[2]


def unknown_name(
    path: str, name: str, known: Iterable[str], what: str, note: str | None = None
) -> ConfigError:
    """The error for a name that does not exist, with the nearest that does."""
    near = nearest(name, known)
    do = "; ".join(part for part in (note, f"did you mean '{near}'?" if near else None) if part)
    return ConfigError(f"{path}: '{name}' is not {what}", do=do or None)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The most similar of ``known``, None when nothing is alike."""
    by_lower = {item.lower(): item for item in known}
    found = difflib.get_close_matches(name.lower(), list(by_lower), 1, 0.6)
    return by_lower[found[0]] if found else None


def typed_dicts(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every dict with a ``type`` in ``value``, with its path, outermost first."""
    return ((path, found) for path, found in config_dicts(value) if "type" in found)


def config_dicts(value: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every dict in ``value``, itself included, with its path, outermost first."""
    if isinstance(value, Mapping):
        yield path, value
        for name, item in value.items():
            yield from config_dicts(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from config_dicts(item, f"{path}[{index}]")
