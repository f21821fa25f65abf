"""Infer what follows from a backbone's published weights: its arguments and the input statistics.

After this a config says all of it itself: the file in an ``init_cfg``, the padding and eps of the
backbone, mean and std of the data preprocessor.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict

from detkit.checkpoints.published.find_published import (
    PUBLISHED_PREFIX,
    PublishedWeights,
    find_by_name,
)
from detkit.config.infer.mismatch import Mismatch, format_option_value, to_option_key
from detkit.config.task import is_classifier
from detkit.config.validate.registry_lookup import resolve_class
from detkit.errors import ConfigError
from detkit.models.weights.published_args import find_weights

_TOLERANCE = 0.01  # of a mean or std, of 255
_BACKBONE = "model.backbone"


def infer_published_weights(cfg: Config, scope: str) -> None:
    """Replace ``weights`` of the backbone by what it means, and set what follows from it.

    ``init_cfg`` of the model, for a classifier, whose last norm and layer may be in the file, or
    of the backbone; the backbone's arguments that the weights were trained with; mean and std of
    the data preprocessor where they are left out or None, and ``bgr_to_rgb``. An ``init_cfg`` that
    the config has stays: its file is loaded in place of the published one.

    Args:
        cfg: changed in place.
        scope: the config's default scope.

    Raises:
        ConfigError: there are no such weights, or the config contradicts them.
    """
    model: Any = cfg.get("model")
    backbone: Any = model.get("backbone")
    target = resolve_class(backbone, scope=scope) if (
        isinstance(backbone, Mapping) and "type" in backbone) else None
    if target is None or not target.__module__.startswith("detkit."):
        return
    published = _find_weights(model, target)
    if published is None:
        return
    _set_backbone_args(backbone, published)
    if backbone.pop("weights", None) is not None:
        if backbone.get("pretrained"):
            backbone["pretrained"] = False  # timm's default weights, which weights= replaces
        owner = model if is_classifier(cfg) else backbone
        if not (backbone.get("init_cfg") or model.get("init_cfg")):
            owner["init_cfg"] = ConfigDict(type="Pretrained",
                                           checkpoint=PUBLISHED_PREFIX + published.name)
    _set_statistics(cfg, model, published)


def _find_weights(model: Mapping[str, Any], target: Any) -> PublishedWeights | None:
    """The published weights that the config names, in ``weights`` or in an ``init_cfg``."""
    backbone = model["backbone"]
    names = [str(init["checkpoint"]).removeprefix(PUBLISHED_PREFIX)
             for init in (backbone.get("init_cfg"), model.get("init_cfg"))
             if isinstance(init, Mapping)
             and str(init.get("checkpoint")).startswith(PUBLISHED_PREFIX)]
    weights = backbone.get("weights")
    if weights is not None:
        return find_weights(target.__name__, _get_arch(backbone, target), weights)
    return find_by_name(names[0], target.__name__) if names else None


def _get_arch(backbone: Mapping[str, Any], target: Any) -> object:
    """The backbone's ``arch``, or ``name`` of timm's models, or the default."""
    parameters = inspect.signature(target).parameters
    key = "arch" if "arch" in parameters else "name"
    return backbone.get(key, parameters[key].default if key in parameters else None)


def _set_backbone_args(backbone: Any, published: PublishedWeights) -> None:
    _raise_contradictions([
        Mismatch(f"{_BACKBONE}.{name}", backbone[name], published.backbone_args[name])
        for name in published.conflicts(backbone)
    ], published)
    backbone.update(published.backbone_args)


def _set_statistics(cfg: Config, model: Any, published: PublishedWeights) -> None:
    in_model = isinstance(model.get("data_preprocessor"), dict)
    if not in_model and is_classifier(cfg) and cfg.get("data_preprocessor") is None:
        model["data_preprocessor"] = ConfigDict(type="ClsDataPreprocessor")
        in_model = True
    preprocessor = model["data_preprocessor"] if in_model else cfg.get("data_preprocessor")
    if not isinstance(preprocessor, dict):
        return
    path = "model.data_preprocessor" if in_model else "data_preprocessor"
    trained: dict[str, Any] = {"mean": list(published.mean), "std": list(published.std)}
    # The weights were trained on RGB. LoadClsImage gives it, detection pipelines load BGR; mmdet's
    # rgb_to_bgr swaps the channels as bgr_to_rgb does.
    if not is_classifier(cfg) and not preprocessor.get("rgb_to_bgr"):
        trained["bgr_to_rgb"] = True
    configured = {name: preprocessor[name]
                  for name in trained if preprocessor.get(name) is not None}
    _raise_contradictions([Mismatch(f"{path}.{name}", value, trained[name])
                           for name, value in configured.items()
                           if not _is_close(value, trained[name])], published)
    preprocessor.update({**trained, **configured})


def _is_close(configured: Any, trained: Any) -> bool:
    if not isinstance(trained, list):
        return bool(configured == trained)
    if not isinstance(configured, (list, tuple)) or len(configured) not in (1, len(trained)):
        return False
    values = list(configured) * (len(trained) // len(configured))
    return all(isinstance(value, (int, float)) and abs(value - number) <= _TOLERANCE
               for value, number in zip(values, trained))


def _raise_contradictions(mismatches: Sequence[Mismatch], published: PublishedWeights) -> None:
    """Raise for the first of ``mismatches``, with the options that correct all of them."""
    if not mismatches:
        return
    first = mismatches[0]
    names = " and ".join(mismatch.path.rpartition(".")[2] for mismatch in mismatches)
    options = " ".join(f"{to_option_key(mismatch.path)}={format_option_value(mismatch.expected)}"
                       for mismatch in mismatches)
    raise ConfigError(
        f"{first.path} contradicts the weights '{published.name}'",
        got=f"{first.actual} in the config",
        expected=f"{first.expected}, which they were trained with",
        hint=f"leave {names} out, or None, to take what the weights need, or pass --cfg-options "
        f"{options}")
