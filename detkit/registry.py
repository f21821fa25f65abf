"""Children of mmdet's registries, scope ``detkit``.

With ``default_scope = 'detkit'`` a plain name in a config is looked up here first, then in
mmdet, then in mmengine. ``locations`` name the rooms, or modules of them, that register something,
so that nothing has to be imported by hand.
"""

import contextlib
import io
import warnings

from mmdet import registry as mmdet_registry
from mmengine.registry import Registry

SCOPE = "detkit"


def import_mmdet() -> None:
    """Import mmdet whole, without what it says of optional libraries that nobody asked for."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401


def _child(name: str, parent: Registry, locations: list[str] | None = None) -> Registry:
    # A look-up imports the locations of the registry it begins at, never those of the parents it
    # climbs to: without mmdet's own, its names would be unknown here until someone imports them.
    places = [*parent._locations, *(locations or ["detkit.engine"])]
    return Registry(name, parent=parent, scope=SCOPE, locations=places)


_MODELS_AT = ["detkit.models"]
_DATASETS_AT = ["detkit.data.classification.cls_dataset"]
_SAMPLERS_AT = ["detkit.data.samplers.class_balanced_sampler"]
_TRANSFORMS_AT = [
    "detkit.data.transforms.load_image",
    "detkit.data.transforms.load_cls_image",
    "detkit.data.transforms.pack_inputs",
    "detkit.data.transforms.timm_transforms",
    "detkit.data.transforms.torchvision_transforms",
]
_ENGINE_AT = ["detkit.engine"]
_METRICS_AT = ["detkit.evaluation.detection.coco_metric",
               "detkit.evaluation.classification.classification_metric"]

RUNNERS = _child("runner", mmdet_registry.RUNNERS)
RUNNER_CONSTRUCTORS = _child("runner constructor", mmdet_registry.RUNNER_CONSTRUCTORS)
LOOPS = _child("loop", mmdet_registry.LOOPS, _ENGINE_AT)
HOOKS = _child("hook", mmdet_registry.HOOKS, _ENGINE_AT)
LOG_PROCESSORS = _child("log_processor", mmdet_registry.LOG_PROCESSORS)
OPTIMIZERS = _child("optimizer", mmdet_registry.OPTIMIZERS)
OPTIM_WRAPPERS = _child("optimizer_wrapper", mmdet_registry.OPTIM_WRAPPERS, _ENGINE_AT)
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    "optimizer wrapper constructor", mmdet_registry.OPTIM_WRAPPER_CONSTRUCTORS, _ENGINE_AT
)
PARAM_SCHEDULERS = _child("parameter scheduler", mmdet_registry.PARAM_SCHEDULERS)
DATASETS = _child("dataset", mmdet_registry.DATASETS, _DATASETS_AT)
DATA_SAMPLERS = _child("data sampler", mmdet_registry.DATA_SAMPLERS, _SAMPLERS_AT)
TRANSFORMS = _child("transform", mmdet_registry.TRANSFORMS, _TRANSFORMS_AT)
MODELS = _child("model", mmdet_registry.MODELS, _MODELS_AT)
MODEL_WRAPPERS = _child("model_wrapper", mmdet_registry.MODEL_WRAPPERS, _MODELS_AT)
WEIGHT_INITIALIZERS = _child("weight initializer", mmdet_registry.WEIGHT_INITIALIZERS, _MODELS_AT)
TASK_UTILS = _child("task util", mmdet_registry.TASK_UTILS, _MODELS_AT)
METRICS = _child("metric", mmdet_registry.METRICS, _METRICS_AT)
EVALUATORS = _child("evaluator", mmdet_registry.EVALUATOR)
VISUALIZERS = _child("visualizer", mmdet_registry.VISUALIZERS, _ENGINE_AT)
VISBACKENDS = _child("vis_backend", mmdet_registry.VISBACKENDS, _ENGINE_AT)
