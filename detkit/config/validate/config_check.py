"""Check every type and argument of a config before anything is built."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.registry import Registry

from detkit import registry as detkit_registry
from detkit.config.validate import key_schema
from detkit.config.validate.component_keys import COMPONENT_LIST_KEYS, is_component_key
from detkit.config.validate.mmdet_exceptions import ARGUMENTS_POPPED_BY_HEAD, IGNORED_ARGUMENTS
from detkit.config.validate.registry_lookup import (
    TOP_LEVEL_REGISTRIES,
    equivalent_registries,
    lookup,
    registered_names,
    registry_at,
)
from detkit.config.validate.signatures import OPEN, Signature, get_signature
from detkit.errors import ConfigError
from detkit.text import name_hint
from detkit.walk import Node, walk

logger = logging.getLogger(__name__)

# Keys that builders remove from a dict before they call the class.
_BUILDER_KEYS = frozenset({"type", "_scope_"})
_BUILDER_KEYS_BY_REGISTRY = {
    detkit_registry.HOOKS.name: frozenset({"priority"}),
    detkit_registry.WEIGHT_INITIALIZERS.name: frozenset({"layer", "override", "name"}),
    detkit_registry.PARAM_SCHEDULERS.name: frozenset({"convert_to_iter_based"}),
    detkit_registry.OPTIM_WRAPPERS.name: frozenset({"optimizer", "constructor", "paramwise_cfg"}),
}
_BUILDER_KEYS_BY_SUFFIX = {
    "norm_cfg": frozenset({"requires_grad"}),
    "dcn": frozenset({"fallback_on_stride"}),
    "conv_cfg": frozenset({"fallback_on_stride"}),
    "nms": frozenset({"class_agnostic", "split_thr", "max_num"}),
    "upsample_cfg": frozenset({"scale_factor"}),
    "cfg": frozenset({"postfix"}),
}
# Arguments that the builder passes, not the config.
_INJECTED = {
    detkit_registry.TRANSFORMS.name: frozenset[str](),
    detkit_registry.HOOKS.name: frozenset[str](),
    detkit_registry.PARAM_SCHEDULERS.name: frozenset({"optimizer"}),
    detkit_registry.OPTIMIZERS.name: frozenset({"params"}),
}
# Classes that pass their **kwargs to the class named by one of their arguments.
_KWARGS_FORWARDED_TO = {
    "EMAHook": ("ema_type", detkit_registry.MODELS, frozenset({"model"})),
    "RandomResize": ("resize_type", detkit_registry.TRANSFORMS, frozenset({"scale"})),
    "RandomChoiceResize": ("resize_type", detkit_registry.TRANSFORMS, frozenset({"scale"})),
}
# Classes whose **kwargs are of no use in a config.
_KWARGS_IGNORED = frozenset({"CheckpointHook"})
# Classes whose base is in an optional library, and an empty class if that is not installed.
_KWARGS_UNKNOWN = frozenset({"BaseReID"})
# Keys in whose dict ``type`` is an option of the class that reads it, not a registered name.
NON_REGISTRY_TYPE_KEYS = frozenset({
    "adapt_cfg", "same_up_trans", "same_down_trans", "across_lateral_trans", "across_down_trans",
    "across_up_trans", "across_skip_trans", "output_trans",
})
# Classes whose arguments contain ``type`` names of another library.
_EXTERNAL_WRAPPERS = frozenset({"Albu", "Detectron2Wrapper"})


def check_config(cfg: Mapping[str, Any]) -> None:
    """Look up every ``type`` in ``cfg`` and check its arguments against the class's signature.

    Raises:
        ConfigError: a name or argument does not exist; the message has its path and the closest
            existing one.
    """
    # Imported here without warnings: the first lookup would import it with them.
    detkit_registry.import_mmdet()
    scope = detkit_registry.get_default_scope(cfg)
    for key, value in cfg.items():
        key_schema.check_keys(value, key, unknown_name_error)
        if key in TOP_LEVEL_REGISTRIES:
            _check_components(value, key, scope)


def _check_components(value: Any, key: str, scope: str) -> None:
    """Check every dict in the value of the top-level key ``key``."""
    # For each dict, by id, the class built from the closest typed dict: itself or one around it.
    owners: dict[int, Any] = {}
    for node in walk(value, key, key, enter=_is_own_config):
        if not isinstance(node.value, Mapping):
            continue
        registry, owner = registry_at(node.keys), owners.get(id(node.parent))
        if "type" not in node.value:
            _check_type_spelling(node.value, node.path)
            _check_has_type(node.value, node.path, node.key, registry, owner)
        elif node.key not in NON_REGISTRY_TYPE_KEYS:
            owner = _check_component(node.value, node.path, node.key, registry, scope)
        owners[id(node.value)] = owner


def _is_own_config(node: Node) -> bool:
    """False for a dict whose content belongs to another library's registry."""
    return not (isinstance(node.value, Mapping) and node.key not in NON_REGISTRY_TYPE_KEYS
                and unqualified_name(node.value.get("type", "")) in _EXTERNAL_WRAPPERS)


def _check_component(
    value: Mapping[str, Any], path: str, key: str, registry: Registry, scope: str
) -> Any | None:
    """Check the arguments of the class that ``value`` names, and return the class if known."""
    target = find_type(value["type"], registry, path, scope)
    if target is None:
        return None
    builder_keys = _BUILDER_KEYS | _BUILDER_KEYS_BY_REGISTRY.get(registry.name, frozenset())
    builder_keys |= next(
        (t for suffix, t in _BUILDER_KEYS_BY_SUFFIX.items() if key.endswith(suffix)), frozenset())
    signature = _signature(target, value)
    if signature.closed:
        for name in value:
            if name not in builder_keys and name not in signature.names:
                if (unqualified_name(value["type"]), name) in ARGUMENTS_POPPED_BY_HEAD:
                    continue
                if (unqualified_name(value["type"]), name) in IGNORED_ARGUMENTS:
                    logger.warning("%s.%s is ignored", path, name)
                    continue
                raise unknown_name_error(f"{path}.{name}", str(name),
                                         signature.names | builder_keys,
                                         f"an argument of {unqualified_name(value['type'])}")
    needed = signature.required - _INJECTED.get(registry.name, signature.required)
    missing = sorted(needed - set(value))
    if missing:
        type_name = unqualified_name(value["type"])
        raise ConfigError(f"{path}: {type_name} requires '{missing[0]}', which is missing")
    return target


def _signature(target: Any, value: Mapping[str, Any]) -> Signature:
    signature = get_signature(target)
    name = getattr(target, "__name__", "")
    if name in _KWARGS_UNKNOWN:
        return OPEN
    if name in _KWARGS_IGNORED:
        return Signature(signature.names, signature.required)
    if name in _KWARGS_FORWARDED_TO:
        argument, registry, provided = _KWARGS_FORWARDED_TO[name]
        inner_name = value.get(argument) or inspect.signature(target).parameters[argument].default
        inner = lookup(registry, inner_name) if isinstance(inner_name, str) else None
        if inner is not None:
            base = get_signature(inner)
            names = signature.names | (base.names - provided)
            return Signature(names, signature.required, base.closed)
    return signature


def find_type(name: Any, registry: Registry, path: str,
              scope: str = detkit_registry.SCOPE) -> Any | None:
    """Return the class that ``type=name`` at ``path`` will build; None if it cannot be checked.

    Raises:
        ConfigError: the name is not registered in ``registry`` or an equivalent one.
    """
    if not isinstance(name, str):
        if callable(name):
            return name
        raise ConfigError(f"{path}.type", got=repr(name), expected="a name")
    registries = equivalent_registries(registry)
    for candidate in registries:
        target = lookup(candidate, name, scope)
        if target is not None:
            return target
    if registry in (detkit_registry.MODELS, detkit_registry.TASK_UTILS):
        target = _find_operator(name)
        if target is not None:
            return target
    if "." in name:
        return _import_type(name, path)
    known = [item for candidate in registries for item in registered_names(candidate, scope)]
    raise unknown_name_error(f"{path}.type", name, known, f"the name of a {registry.name}",
                             _find_elsewhere(name))


def _find_operator(name: str) -> Any | None:
    import mmcv.ops
    import torch

    return getattr(mmcv.ops, name, None) or getattr(torch.nn, name, None)


def _import_type(name: str, path: str) -> Any | None:
    """Import the class of a dotted name."""
    from mmengine.utils import get_object_from_string

    try:
        target = get_object_from_string(name)
    except (ImportError, AttributeError, ValueError):
        target = None
    if target is None:
        raise ConfigError(
            f"{path}.type", got=f"'{name}'", expected="a registered name",
            hint="install the library that registers it, or add it to custom_imports")
    return target


def _find_elsewhere(name: str) -> str | None:
    for other in vars(detkit_registry).values():
        if isinstance(other, Registry) and lookup(other, name) is not None:
            return f"'{name}' is a {other.name}"
    return None


def _check_type_spelling(value: Mapping[str, Any], path: str) -> None:
    for name, item in value.items():
        lowered = str(name).lower()
        is_misspelled = sorted(lowered) == sorted("type") or lowered in ("typ", "ype", "typee")
        if is_misspelled and isinstance(item, str):
            raise unknown_name_error(f"{path}.{name}", str(name), ["type"], "a key of this dict")


def _check_has_type(
    value: Mapping[str, Any], path: str, key: str, registry: Registry, owner: Any
) -> None:
    """Reject a dict that has to be built into an object and has no ``type``."""
    is_list_item = path.endswith("]")
    if not (registry is detkit_registry.MODELS and is_component_key(key, owner)
            or is_list_item and key in COMPONENT_LIST_KEYS):
        return
    hint = ("a list replaces the list of the base config: write each of its dicts completely"
            if is_list_item else "add type, or set only single keys of the base config's dict")
    raise ConfigError(f"{path} has no type",
                      got=f"a dict with {', '.join(map(str, value))}" if value else "an empty dict",
                      expected="the key 'type'", hint=hint)


def unqualified_name(name: Any) -> str:
    """Return the name of a class, given as the class or as text, without scope or module."""
    full_name = name if isinstance(name, str) else str(getattr(name, "__name__", name))
    return full_name.rpartition(".")[2]


def unknown_name_error(
    path: str, name: str, known: Iterable[str], expected: str, note: str | None = None
) -> ConfigError:
    """Return the error for a name that does not exist, with the closest that does."""
    hints = [hint for hint in (note, name_hint(name, known)) if hint is not None]
    return ConfigError(f"{path}: '{name}' is not {expected}", hint="; ".join(hints) or None)
