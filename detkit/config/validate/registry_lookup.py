"""Find the registry of a config key, and the class of a registered name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import FUNCTIONS, Registry

from detkit import registry as detkit_registry
from detkit.aliases import current_type

TOP_LEVEL_REGISTRIES: dict[str, Registry] = {
    "model": detkit_registry.MODELS,
    "tta_model": detkit_registry.MODELS,
    "data_preprocessor": detkit_registry.MODELS,
    "model_wrapper_cfg": detkit_registry.MODEL_WRAPPERS,
    "train_dataloader": detkit_registry.DATASETS,
    "val_dataloader": detkit_registry.DATASETS,
    "test_dataloader": detkit_registry.DATASETS,
    "tta_pipeline": detkit_registry.TRANSFORMS,
    "optim_wrapper": detkit_registry.OPTIM_WRAPPERS,
    "param_scheduler": detkit_registry.PARAM_SCHEDULERS,
    "val_evaluator": detkit_registry.METRICS,
    "test_evaluator": detkit_registry.METRICS,
    "default_hooks": detkit_registry.HOOKS,
    "custom_hooks": detkit_registry.HOOKS,
    "train_cfg": detkit_registry.LOOPS,
    "val_cfg": detkit_registry.LOOPS,
    "test_cfg": detkit_registry.LOOPS,
    "log_processor": detkit_registry.LOG_PROCESSORS,
    "visualizer": detkit_registry.VISUALIZERS,
}

_REGISTRY_BY_KEY: dict[str, Registry] = {
    "init_cfg": detkit_registry.WEIGHT_INITIALIZERS,
    "override": detkit_registry.WEIGHT_INITIALIZERS,
    "postprocess_tracklet_cfg": detkit_registry.TASK_UTILS,
    "dataset": detkit_registry.DATASETS,
    "datasets": detkit_registry.DATASETS,
    "pipeline": detkit_registry.TRANSFORMS,
    "transforms": detkit_registry.TRANSFORMS,
    "switch_pipeline": detkit_registry.TRANSFORMS,
    "vis_backends": detkit_registry.VISBACKENDS,
    "optimizer": detkit_registry.OPTIMIZERS,
    "batch_sampler": detkit_registry.DATA_SAMPLERS,
    "collate_fn": FUNCTIONS,
    "worker_init_fn": FUNCTIONS,
}

_REGISTRY_BY_MODEL_KEY: dict[str, Registry] = {
    "assigner": detkit_registry.TASK_UTILS,
    "sampler": detkit_registry.TASK_UTILS,
    "bbox_coder": detkit_registry.TASK_UTILS,
    "anchor_generator": detkit_registry.TASK_UTILS,
    "prior_generator": detkit_registry.TASK_UTILS,
    "point_generator": detkit_registry.TASK_UTILS,
    "iou_calculator": detkit_registry.TASK_UTILS,
}

_REGISTRY_BY_DATA_KEY: dict[str, Registry] = {"sampler": detkit_registry.DATA_SAMPLERS}


def child_registry(key: str, current: Registry) -> Registry:
    """The registry for the value at ``key`` in a component of the registry ``current``."""
    if key in _REGISTRY_BY_KEY:
        return _REGISTRY_BY_KEY[key]
    if current in (detkit_registry.MODELS, detkit_registry.TASK_UTILS):
        return _REGISTRY_BY_MODEL_KEY.get(key, detkit_registry.MODELS)
    if current is detkit_registry.DATASETS:
        return _REGISTRY_BY_DATA_KEY.get(key, current)
    return current


def registry_at(keys: Sequence[str]) -> Registry:
    """The registry for the value at the dict keys ``keys``, the first a top-level one."""
    return functools.reduce(lambda registry, key: child_registry(key, registry), keys[1:],
                            TOP_LEVEL_REGISTRIES[keys[0]])


def equivalent_registries(registry: Registry) -> list[Registry]:
    """Registries whose names are accepted where ``registry`` is expected."""
    if registry in (detkit_registry.MODELS, detkit_registry.TASK_UTILS):
        return [detkit_registry.MODELS, detkit_registry.TASK_UTILS]
    if registry is detkit_registry.METRICS:
        return [detkit_registry.METRICS, detkit_registry.EVALUATORS]
    return [registry]


def lookup(registry: Registry, name: str, scope: str = detkit_registry.SCOPE) -> Any | None:
    """Return the class registered as ``name``, plain or ``scope.Name``; None if there is none.

    Unlike ``Registry.get`` it never imports the name: ``os.system`` gives None.

    Args:
        registry: one of detkit's; its parents are mmdet's and mmengine's.
        name: the value of ``type``.
        scope: where the search for a plain name starts, the config's ``default_scope``.
    """
    name = current_type(name)
    prefix, _, rest = name.partition(".")
    if rest:
        return next((node._module_dict.get(rest) for node in _lineage(registry)
                     if node.scope == prefix), None)
    return next((node._module_dict[name] for node in _lineage(registry, scope)
                 if name in node._module_dict), None)


def resolve_class(component: Mapping[str, Any], registry: Registry = detkit_registry.MODELS,
                  scope: str = detkit_registry.SCOPE) -> Any | None:
    """Return the class of a component, whose ``type`` is a name or a class; None if unknown."""
    target = component.get("type")
    return lookup(registry, target, scope) if isinstance(target, str) else target


def is_subclass(component: Any, base: type | tuple[type, ...],
                registry: Registry = detkit_registry.MODELS,
                scope: str = detkit_registry.SCOPE) -> bool:
    """Whether ``component`` is the config of a class derived from ``base``, or of ``base``."""
    if not isinstance(component, Mapping) or "type" not in component:
        return False
    target = resolve_class(component, registry, scope)
    return inspect.isclass(target) and issubclass(target, base)


def registered_names(registry: Registry, scope: str = detkit_registry.SCOPE) -> list[str]:
    """Return every plain name that `lookup` finds in ``registry``, sorted."""
    return sorted({name for node in _lineage(registry, scope) for name in node._module_dict})


def _lineage(registry: Registry, scope: str = detkit_registry.SCOPE) -> list[Registry]:
    """The registry of ``scope`` and its parents; ``registry`` and its if no scope matches."""
    registry.import_from_location()
    lineage: list[Registry] = []
    node: Registry | None = registry
    while node is not None:
        lineage.append(node)
        node = node.parent
    scopes = [node.scope for node in lineage]
    return lineage[scopes.index(scope):] if scope in scopes else lineage
