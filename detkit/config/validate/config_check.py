"""Every name and argument of a config, checked before anything is built."""

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

# What builders take out of a dict before they call the class.
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
# Arguments that the builder, not the config, gives.
_INJECTED = {
    detkit_registry.TRANSFORMS.name: frozenset[str](),
    detkit_registry.HOOKS.name: frozenset[str](),
    detkit_registry.PARAM_SCHEDULERS.name: frozenset({"optimizer"}),
    detkit_registry.OPTIMIZERS.name: frozenset({"params"}),
}
# Classes that hand their **kwargs to the class that one of their arguments names.
_KWARGS_FORWARDED_TO = {
    "EMAHook": ("ema_type", detkit_registry.MODELS, frozenset({"model"})),
    "RandomResize": ("resize_type", detkit_registry.TRANSFORMS, frozenset({"scale"})),
    "RandomChoiceResize": ("resize_type", detkit_registry.TRANSFORMS, frozenset({"scale"})),
}
# Classes that keep their **kwargs for nothing that a config could mean.
_KWARGS_IGNORED = frozenset({"CheckpointHook"})
# Classes whose base stands in another library, and is an empty one where that is missing.
_KWARGS_UNKNOWN = frozenset({"BaseReID"})
# Keys below which ``type`` is a word of the class that reads it, not a registered name.
NON_REGISTRY_TYPE_KEYS = frozenset({
    "adapt_cfg", "same_up_trans", "same_down_trans", "across_lateral_trans", "across_down_trans",
    "across_up_trans", "across_skip_trans", "output_trans",
})
# Classes whose inner ``type`` names belong to another library.
_EXTERNAL_WRAPPERS = frozenset({"Albu", "Detectron2Wrapper"})


def check_config(cfg: Mapping[str, Any]) -> None:
    """Look up every ``type`` in ``cfg`` and check its arguments against its signature.

    Raises:
        ConfigError: the first name or argument that does not exist, by its path, with the
            nearest right one.
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
    """Check the arguments of the class that ``value`` names, and return that class if known."""
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
                    logger.warning("%s.%s has no effect", path, name)
                    continue
                raise unknown_name_error(f"{path}.{name}", str(name),
                                         signature.names | builder_keys,
                                         f"an argument of {unqualified_name(value['type'])}")
    needed = signature.required - _INJECTED.get(registry.name, signature.required)
    missing = sorted(needed - set(value))
    if missing:
        type_name = unqualified_name(value["type"])
        raise ConfigError(f"{path}: {type_name} needs '{missing[0]}', which is not given")
    return target


def _signature(target: Any, value: Mapping[str, Any]) -> Signature:
    found = get_signature(target)
    name = getattr(target, "__name__", "")
    if name in _KWARGS_UNKNOWN:
        return OPEN
    if name in _KWARGS_IGNORED:
        return Signature(found.names, found.required)
    if name in _KWARGS_FORWARDED_TO:
        argument, registry, provided = _KWARGS_FORWARDED_TO[name]
        inner_name = value.get(argument) or inspect.signature(target).parameters[argument].default
        inner = lookup(registry, inner_name) if isinstance(inner_name, str) else None
        if inner is not None:
            base = get_signature(inner)
            return Signature(found.names | (base.names - provided), found.required, base.closed)
    return found


def find_type(name: Any, registry: Registry, path: str,
              scope: str = detkit_registry.SCOPE) -> Any | None:
    """What ``type=name`` at ``path`` will be built from; None when it cannot be checked.

    Raises:
        ConfigError: no registry that serves here has the name.
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
    known = [known for candidate in registries for known in registered_names(candidate, scope)]
    raise unknown_name_error(f"{path}.type", name, known, f"the name of a {registry.name}",
                             _find_elsewhere(name))


def _find_operator(name: str) -> Any | None:
    import mmcv.ops
    import torch

    return getattr(mmcv.ops, name, None) or getattr(torch.nn, name, None)


def _import_type(name: str, path: str) -> Any | None:
    """The class that a dotted name spells, or None for a scope of a library not known here."""
    from mmengine.utils import get_object_from_string

    try:
        target = get_object_from_string(name)
    except (ImportError, AttributeError, ValueError):
        target = None
    if target is None:
        raise ConfigError(
            f"{path}.type", got=f"'{name}'", expected="a registered name",
            hint="install the library that registers it, or name it in custom_imports")
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
    """Refuse a dict that a class is built from and that does not say which."""
    is_list_item = path.endswith("]")
    if not (registry is detkit_registry.MODELS and is_component_key(key, owner)
            or is_list_item and key in COMPONENT_LIST_KEYS):
        return
    note = ("a list takes the place of the base config's whole list: write each of its dicts out"
            if is_list_item else "add type, or set single keys of the base config's dict only")
    raise ConfigError(f"{path} has no type",
                      got=f"a dict with {', '.join(map(str, value))}" if value else "an empty dict",
                      expected="type='NAME' among its keys", hint=note)


def unqualified_name(name: Any) -> str:
    """The name of a class without its scope or module; ``name`` is that text or the class."""
    full_name = name if isinstance(name, str) else str(getattr(name, "__name__", name))
    return full_name.rpartition(".")[2]


def unknown_name_error(
    path: str, name: str, known: Iterable[str], expected: str, note: str | None = None
) -> ConfigError:
    """The error for a name that does not exist, with the closest that does."""
    hints = [hint for hint in (note, name_hint(name, known)) if hint is not None]
    return ConfigError(f"{path}: '{name}' is not {expected}", hint="; ".join(hints) or None)
