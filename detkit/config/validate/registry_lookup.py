"""Which registry a name in a config is looked up in, by where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.registry import FUNCTIONS, Registry

from detkit import registry as ours

TOP_LEVEL: dict[str, Registry] = {
    "model": ours.MODELS,
    "tta_model": ours.MODELS,
    "data_preprocessor": ours.MODELS,
    "model_wrapper_cfg": ours.MODEL_WRAPPERS,
    "train_dataloader": ours.DATASETS,
    "val_dataloader": ours.DATASETS,
    "test_dataloader": ours.DATASETS,
    "tta_pipeline": ours.TRANSFORMS,
    "optim_wrapper": ours.OPTIM_WRAPPERS,
    "param_scheduler": ours.PARAM_SCHEDULERS,
    "val_evaluator": ours.METRICS,
    "test_evaluator": ours.METRICS,
    "default_hooks": ours.HOOKS,
    "custom_hooks": ours.HOOKS,
    "train_cfg": ours.LOOPS,
    "val_cfg": ours.LOOPS,
    "test_cfg": ours.LOOPS,
    "log_processor": ours.LOG_PROCESSORS,
    "visualizer": ours.VISUALIZERS,
}

_ANYWHERE: dict[str, Registry] = {
    "init_cfg": ours.WEIGHT_INITIALIZERS,
    "override": ours.WEIGHT_INITIALIZERS,
    "postprocess_tracklet_cfg": ours.TASK_UTILS,
    "dataset": ours.DATASETS,
    "datasets": ours.DATASETS,
    "pipeline": ours.TRANSFORMS,
    "transforms": ours.TRANSFORMS,
    "switch_pipeline": ours.TRANSFORMS,
    "vis_backends": ours.VISBACKENDS,
    "optimizer": ours.OPTIMIZERS,
    "batch_sampler": ours.DATA_SAMPLERS,
    "collate_fn": FUNCTIONS,
    "worker_init_fn": FUNCTIONS,
}

_IN_MODELS: dict[str, Registry] = {
    "assigner": ours.TASK_UTILS,
    "sampler": ours.TASK_UTILS,
    "bbox_coder": ours.TASK_UTILS,
    "anchor_generator": ours.TASK_UTILS,
    "prior_generator": ours.TASK_UTILS,
    "point_generator": ours.TASK_UTILS,
    "iou_calculator": ours.TASK_UTILS,
}

_IN_DATA: dict[str, Registry] = {"sampler": ours.DATA_SAMPLERS}


def registry_below(key: str, current: Registry) -> Registry:
    """The registry for what stands under ``key`` in something of the registry ``current``."""
    if key in _ANYWHERE:
        return _ANYWHERE[key]
    if current in (ours.MODELS, ours.TASK_UTILS):
        return _IN_MODELS.get(key, ours.MODELS)
    if current is ours.DATASETS:
        return _IN_DATA.get(key, current)
    return current


def stand_ins(registry: Registry) -> list[Registry]:
    """Registries whose names also serve where ``registry`` is expected."""
    if registry in (ours.MODELS, ours.TASK_UTILS):
        return [ours.MODELS, ours.TASK_UTILS]
    if registry is ours.METRICS:
        return [ours.METRICS, ours.EVALUATORS]
    return [registry]


def registered(registry: Registry, name: str, scope: str = ours.SCOPE) -> Any | None:
    """What ``name`` (plain or ``scope.Name``) is in ``registry``, None when it is nothing.

    Never imports what the name spells, as mmengine's own look-up does: ``os.system`` is None.

    Args:
        registry: one of detkit's; its parents are mmdet's and mmengine's.
        name: as it stands after ``type=``.
        scope: where the search for a plain name begins, the config's ``default_scope``.
    """
    prefix, _, rest = name.partition(".")
    if rest:
        return next((n._module_dict.get(rest) for n in _line(registry) if n.scope == prefix), None)
    return next((n._module_dict[name] for n in _line(registry, scope) if name in n._module_dict),
                None)


def entries_of(registry: Registry, name: str) -> list[Any]:
    """All that ``name`` (plain or ``scope.Name``) is in ``registry`` and its parents."""
    prefix, _, rest = name.partition(".")
    nodes = [node for node in _line(registry) if not rest or node.scope == prefix]
    plain = rest or name
    return [node._module_dict[plain] for node in nodes if plain in node._module_dict]


def class_of(
    part: Mapping[str, Any], registry: Registry = ours.MODELS, scope: str = ours.SCOPE
) -> Any | None:
    """What a part of a config is built from, its ``type`` a name or a class; None for no such."""
    kind = part["type"]
    return registered(registry, kind, scope) if isinstance(kind, str) else kind


def names_in(registry: Registry, scope: str = ours.SCOPE) -> list[str]:
    """Every plain name that `registered` knows in ``registry``, sorted."""
    return sorted({name for node in _line(registry, scope) for name in node._module_dict})


def _line(registry: Registry, scope: str = ours.SCOPE) -> list[Registry]:
    """The registry and its parents, from the one of ``scope`` on; from itself when none is."""
    registry.import_from_location()
    line: list[Registry] = []
    node: Registry | None = registry
    while node is not None:
        line.append(node)
        node = node.parent
    scopes = [node.scope for node in line]
    return line[scopes.index(scope):] if scope in scopes else line
