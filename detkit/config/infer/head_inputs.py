"""Parts of a model that read the neck: their channels, levels and strides follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from detkit import registry as ours
from detkit.config.infer.mismatch import Clash
from detkit.config.infer.neck_outputs import NeckLevels, argument
from detkit.config.validate.registry_lookup import class_of
from detkit.config.validate.signatures import signature_of

_EXTRACTORS = ("bbox_roi_extractor", "mask_roi_extractor")


def settle_readers(
    model: Mapping[str, Any], levels: NeckLevels, scope: str = ours.SCOPE
) -> list[Clash]:
    """Give the parts that read the neck what they do not say, and list what they say wrongly.

    Heads of one stage read every level; extractors of regions the first ones, and the heads behind
    them what a plain extractor hands on.

    Args:
        model: its config; changed in place where it gives nothing.
        levels: of the neck; what is not known of them is left alone.
        scope: the config's default scope.
    """
    clashes: list[Clash] = []
    for place in ("rpn_head", "bbox_head"):
        for path, part in _parts(model.get(place), f"model.{place}"):
            clashes += _settle_dense(path, part, levels, scope)
    roi_head = model.get("roi_head")
    for at, head in _parts(roi_head, "model.roi_head") if roi_head else ():
        for name in _EXTRACTORS:
            for path, part in _parts(head.get(name), f"{at}.{name}"):
                clashes += _settle_extractor(path, part, levels, scope)
        # A shared head may change the channels; other extractors may join levels.
        extractors = [part for _, part in _parts(head.get("bbox_roi_extractor"), "")]
        plain = bool(extractors) and not head.get("shared_head") and all(
            _is_plain(part, scope) for part in extractors
        )
        for path, part in _parts(head.get("bbox_head"), f"{at}.bbox_head"):
            follows = plain and _is_a(part, "BBoxHead", scope)
            clashes += _settle(path, part, "in_channels", levels.channels, follows, scope)
    return clashes


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What may be one part or a list of them; a roi_head need not have a type here."""
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _parts(item, f"{path}[{index}]")
    elif isinstance(value, MutableMapping):
        yield path, value


def _settle_dense(path: str, part: Any, levels: NeckLevels, scope: str) -> list[Clash]:
    # What is no dense head (DETR's, CenterNet's) may read something else; its numbers stay.
    dense = _is_a(part, "BaseDenseHead", scope)
    clashes = _settle(path, part, "in_channels", levels.channels, dense, scope)
    if not dense:
        return clashes
    clashes += _settle(path, part, "num_ins", levels.count, True, scope)
    if levels.strides is None:
        return clashes
    wanted = list(levels.strides)
    clashes += _settle(path, part, "strides", wanted, True, scope)
    for name in _generators(part, scope):
        generator = argument(part, class_of(part, scope=scope), name)
        if not isinstance(generator, Mapping):
            continue
        given = generator.get("strides")
        if given is None or (part.get(name) is None and not _same(given, wanted)):
            part[name] = {**generator, "strides": list(wanted)}
        elif not _same(given, wanted):
            clashes.append(Clash(f"{path}.{name}.strides", _plain(given), wanted))
    return clashes


def _generators(part: Mapping[str, Any], scope: str) -> list[str]:
    """The head's arguments that make its anchors or points."""
    names = signature_of(class_of(part, scope=scope)).names
    return sorted(name for name in names if name.endswith("_generator"))


def _settle_extractor(path: str, part: Any, levels: NeckLevels, scope: str) -> list[Clash]:
    clashes = _settle(
        path, part, "out_channels", levels.channels, _is_plain(part, scope), scope
    )
    if levels.strides is None or not _is_a(part, "BaseRoIExtractor", scope):
        return clashes
    given = part.get("featmap_strides")
    if given is None:
        part["featmap_strides"] = list(levels.strides[: levels.read])
        return clashes
    read = len(given) if isinstance(given, (list, tuple)) else 0
    if not read or not _same(given, list(levels.strides[:read])):
        count = read if 0 < read <= len(levels.strides) else levels.read
        clashes.append(
            Clash(f"{path}.featmap_strides", _plain(given), list(levels.strides[:count])))
    return clashes


def _settle(
    path: str, part: Any, name: str, wanted: Any, follows: bool, scope: str
) -> list[Clash]:
    """Fill in one argument; where ``follows``, what is given must be what is wanted."""
    if wanted is None or "type" not in part:
        return []
    given = part.get(name)
    if given is None:
        target = class_of(part, scope=scope)
        if target is not None and name in signature_of(target).names:
            part[name] = list(wanted) if isinstance(wanted, list) else wanted
    elif follows and not _same(given, wanted):
        # Lists of channels belong to heads that read the backbone.
        if isinstance(wanted, list) or isinstance(given, int):
            return [Clash(f"{path}.{name}", _plain(given), wanted)]
    return []


def _is_plain(part: Mapping[str, Any], scope: str) -> bool:
    target = class_of(part, scope=scope) if "type" in part else None
    return getattr(target, "__name__", "") == "SingleRoIExtractor"


def _is_a(part: Mapping[str, Any], name: str, scope: str) -> bool:
    target = class_of(part, scope=scope) if "type" in part else None
    return any(base.__name__ == name for base in getattr(target, "__mro__", ()))


def _same(given: Any, wanted: Any) -> bool:
    return bool(_plain(given) == wanted)


def _plain(given: Any) -> Any:
    """Lists for tuples, and one number for a pair of equal ones, as mmdet reads strides."""
    if not isinstance(given, (list, tuple)):
        return given
    return [
        item[0] if isinstance(item, (list, tuple)) and len(item) == 2 and item[0] == item[1]
        else item
        for item in given
    ]
