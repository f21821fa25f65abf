"""Registries of scope ``detkit``, children of mmdet's.

With ``default_scope = 'detkit'`` a plain name in a config is looked up in detkit, then in mmdet,
then in mmengine. ``locations`` are the modules that register classes; they are imported on the
first lookup.
"""

import contextlib
import io
import warnings
from collections.abc import Mapping
from typing import Any

from mmdet import registry as mmdet_registry
from mmengine.registry import Registry

from detkit.aliases import current_type

SCOPE = "detkit"


def get_default_scope(cfg: Mapping[str, Any]) -> str:
    """Return the scope for plain names in ``cfg``: its ``default_scope``, or detkit."""
    return str(cfg.get("default_scope") or SCOPE)


def import_mmdet() -> None:
    """Import all of mmdet, without its warnings about optional libraries."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401


class _AliasedRegistry(Registry):  # type: ignore[misc]
    """A registry that also accepts the names of earlier versions."""

    def get(self, key: str) -> Any:
        """Return the class registered as ``key``, a current or an earlier name."""
        return super().get(current_type(key) if isinstance(key, str) else key)


def _child(name: str, parent: Registry, locations: list[str] | None = None) -> Registry:
    # A lookup imports only the locations of the registry where it starts, not of its parents, so
    # mmdet's locations are repeated here.
    import_locations = [*parent._locations, *(locations or ["detkit.engine"])]
    return _AliasedRegistry(name, parent=parent, scope=SCOPE, locations=import_locations)


_MODEL_LOCATIONS = ["detkit.models"]
_DATASET_LOCATIONS = ["detkit.data.classification.cls_dataset"]
_SAMPLER_LOCATIONS = ["detkit.data.samplers.class_balanced_sampler"]
_TRANSFORM_LOCATIONS = [
    "detkit.data.transforms.cached_steps",
    "detkit.data.transforms.color_transforms",
    "detkit.data.transforms.copy_paste",
    "detkit.data.transforms.copy_paste_boxes",
    "detkit.data.transforms.geometric_transforms",
    "detkit.data.transforms.load_cls_image",
    "detkit.data.transforms.load_image",
    "detkit.data.transforms.mix_up",
    "detkit.data.transforms.pack_inputs",
    "detkit.data.transforms.timm_transforms",
    "detkit.data.transforms.torchvision_transforms",
]
_ENGINE_LOCATIONS = ["detkit.engine"]
_METRIC_LOCATIONS = [
    "detkit.evaluation.detection.coco_metric",
    "detkit.evaluation.classification.classification_metric",
]

RUNNERS = _child("runner", mmdet_registry.RUNNERS)
RUNNER_CONSTRUCTORS = _child("runner constructor", mmdet_registry.RUNNER_CONSTRUCTORS)
LOOPS = _child("loop", mmdet_registry.LOOPS, _ENGINE_LOCATIONS)
HOOKS = _child("hook", mmdet_registry.HOOKS, _ENGINE_LOCATIONS)
LOG_PROCESSORS = _child("log_processor", mmdet_registry.LOG_PROCESSORS)
OPTIMIZERS = _child("optimizer", mmdet_registry.OPTIMIZERS)
OPTIM_WRAPPERS = _child("optimizer_wrapper", mmdet_registry.OPTIM_WRAPPERS, _ENGINE_LOCATIONS)
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    "optimizer wrapper constructor", mmdet_registry.OPTIM_WRAPPER_CONSTRUCTORS, _ENGINE_LOCATIONS
)
PARAM_SCHEDULERS = _child("parameter scheduler", mmdet_registry.PARAM_SCHEDULERS)
DATASETS = _child("dataset", mmdet_registry.DATASETS, _DATASET_LOCATIONS)
DATA_SAMPLERS = _child("data sampler", mmdet_registry.DATA_SAMPLERS, _SAMPLER_LOCATIONS)
TRANSFORMS = _child("transform", mmdet_registry.TRANSFORMS, _TRANSFORM_LOCATIONS)
MODELS = _child("model", mmdet_registry.MODELS, _MODEL_LOCATIONS)
MODEL_WRAPPERS = _child("model_wrapper", mmdet_registry.MODEL_WRAPPERS, _MODEL_LOCATIONS)
WEIGHT_INITIALIZERS = _child("weight initializer", mmdet_registry.WEIGHT_INITIALIZERS,
                             _MODEL_LOCATIONS)
TASK_UTILS = _child("task util", mmdet_registry.TASK_UTILS, _MODEL_LOCATIONS)
METRICS = _child("metric", mmdet_registry.METRICS, _METRIC_LOCATIONS)
EVALUATORS = _child("evaluator", mmdet_registry.EVALUATOR)
VISUALIZERS = _child("visualizer", mmdet_registry.VISUALIZERS, _ENGINE_LOCATIONS)
VISBACKENDS = _child("vis_backend", mmdet_registry.VISBACKENDS, _ENGINE_LOCATIONS)
