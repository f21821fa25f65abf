"""Infer channels, levels and strides of the components that read the neck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from detkit import registry as detkit_registry
from detkit.config.infer.mismatch import Mismatch
from detkit.config.infer.neck_feature_info import NeckFeatureInfo, get_argument
from detkit.config.validate.registry_lookup import is_subclass, resolve_class
from detkit.config.validate.signatures import get_signature
from detkit.walk import walk

_EXTRACTORS = ("bbox_roi_extractor", "mask_roi_extractor")


def lacks_strides(model: Mapping[str, Any]) -> bool:
    """Whether the config has a generator of anchors or points, or RoI levels, without strides."""
    names = {"_generator": "strides", "roi_extractor": "featmap_strides"}
    return any(
        isinstance(node.value, Mapping) and "type" in node.value and node.key.endswith(suffix)
        and node.value.get(argument) is None
        for node in walk(model, "model") for suffix, argument in names.items())


def infer_head_inputs(
    model: Mapping[str, Any], levels: NeckFeatureInfo, scope: str = detkit_registry.SCOPE
) -> list[Mismatch]:
    """Set the omitted inputs of heads and RoI extractors, and return those that do not match.

    Dense heads read every level, RoI extractors the first levels, and bbox heads the channels
    that a SingleRoIExtractor passes on.

    Args:
        model: its config; omitted values are set in place.
        levels: of the neck; nothing is inferred from unknown values.
        scope: the config's default scope.
    """
    from mmdet.models.roi_heads.bbox_heads import BBoxHead

    mismatches: list[Mismatch] = []
    for key in ("rpn_head", "bbox_head"):
        for path, component in _iter_components(model.get(key), f"model.{key}"):
            mismatches += _infer_dense_head(path, component, levels, scope)
    roi_head = model.get("roi_head")
    for head_path, head in _iter_components(roi_head, "model.roi_head") if roi_head else ():
        for name in _EXTRACTORS:
            for path, component in _iter_components(head.get(name), f"{head_path}.{name}"):
                mismatches += _infer_roi_extractor(path, component, levels, scope)
        # A shared head may change the channels; other extractors may concatenate levels.
        extractors = [
            component for _, component in _iter_components(head.get("bbox_roi_extractor"), "")
        ]
        keeps_channels = bool(extractors) and not head.get("shared_head") and all(
            _is_single_roi_extractor(component, scope) for component in extractors
        )
        for path, component in _iter_components(head.get("bbox_head"), f"{head_path}.bbox_head"):
            must_match = keeps_channels and is_subclass(component, BBoxHead, scope=scope)
            mismatches += _infer_argument(path, component, "in_channels", levels.channels,
                                          must_match, scope)
    return mismatches


def _iter_components(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and the config of a component, or of each in a list of components."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _iter_components(item, f"{path}[{index}]")
    elif isinstance(value, MutableMapping):
        yield path, value


def _infer_dense_head(path: str, component: Any, levels: NeckFeatureInfo,
                      scope: str) -> list[Mismatch]:
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    # Other heads (DETR's, CenterNet's) may have other inputs; their values stay.
    is_dense_head = is_subclass(component, BaseDenseHead, scope=scope)
    mismatches = _infer_argument(path, component, "in_channels", levels.channels, is_dense_head,
                                 scope)
    if not is_dense_head:
        return mismatches
    mismatches += _infer_argument(path, component, "num_ins", levels.num_levels, True, scope)
    if levels.strides is None:
        return mismatches
    expected = list(levels.strides)
    if not levels.strides_are_published:
        for name in _generator_arguments(component, scope):
            generator = component.get(name)
            if isinstance(generator, Mapping) and generator.get("strides") is None:
                component[name] = {**generator, "strides": expected}
        return mismatches
    mismatches += _infer_argument(path, component, "strides", expected, True, scope)
    for name in _generator_arguments(component, scope):
        generator = get_argument(component, resolve_class(component, scope=scope), name)
        if not isinstance(generator, Mapping):
            continue
        configured = generator.get("strides")
        if configured is None or (component.get(name) is None
                                  and not _equals(configured, expected)):
            component[name] = {**generator, "strides": list(expected)}
        elif not _equals(configured, expected):
            mismatches.append(Mismatch(f"{path}.{name}.strides", _normalize(configured), expected))
    return mismatches


def _generator_arguments(component: Mapping[str, Any], scope: str) -> list[str]:
    """The names of the head's anchor and point generator arguments."""
    names = get_signature(resolve_class(component, scope=scope)).names
    return sorted(name for name in names if name.endswith("_generator"))


def _infer_roi_extractor(path: str, component: Any, levels: NeckFeatureInfo,
                         scope: str) -> list[Mismatch]:
    from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor

    mismatches = _infer_argument(path, component, "out_channels", levels.channels,
                                 _is_single_roi_extractor(component, scope), scope)
    if levels.strides is None or not is_subclass(component, BaseRoIExtractor, scope=scope):
        return mismatches
    configured = component.get("featmap_strides")
    if configured is None:
        component["featmap_strides"] = list(levels.strides[: levels.num_roi_levels])
        return mismatches
    if not levels.strides_are_published:
        return mismatches
    num_roi_levels = len(configured) if isinstance(configured, (list, tuple)) else 0
    if not num_roi_levels or not _equals(configured, list(levels.strides[:num_roi_levels])):
        num_levels = num_roi_levels if 0 < num_roi_levels <= len(
            levels.strides) else levels.num_roi_levels
        mismatches.append(
            Mismatch(f"{path}.featmap_strides", _normalize(configured),
                     list(levels.strides[:num_levels])))
    return mismatches


def _infer_argument(
    path: str, component: Any, name: str, expected: Any, must_match: bool, scope: str
) -> list[Mismatch]:
    """Set an omitted argument; if ``must_match``, return a value that differs as a mismatch."""
    if expected is None or "type" not in component:
        return []
    configured = component.get(name)
    if configured is None:
        target = resolve_class(component, scope=scope)
        if target is not None and name in get_signature(target).names:
            component[name] = list(expected) if isinstance(expected, list) else expected
    elif must_match and not _equals(configured, expected):
        # Heads that read the backbone have lists of channels.
        if isinstance(expected, list) or isinstance(configured, int):
            return [Mismatch(f"{path}.{name}", _normalize(configured), expected)]
    return []


def _is_single_roi_extractor(component: Mapping[str, Any], scope: str) -> bool:
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

    return resolve_class(component, scope=scope) is SingleRoIExtractor


def _equals(configured: Any, expected: Any) -> bool:
    return bool(_normalize(configured) == expected)


def _normalize(configured: Any) -> Any:
    """Convert tuples to lists and pairs of equal numbers to one number, as mmdet does."""
    if not isinstance(configured, (list, tuple)):
        return configured
    return [
        item[0] if isinstance(item, (list, tuple)) and len(item) == 2 and item[0] == item[1]
        else item
        for item in configured
    ]
