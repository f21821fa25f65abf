"""Numbers that a classifier's config need not say: the head's channels and the loss's counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from detkit import registry as ours
from detkit.config.infer.feature_info import feature_channels
from detkit.config.infer.mismatch import Clash, as_option, refuse
from detkit.config.validate.registry_lookup import class_of
from detkit.config.validate.signatures import signature_of
from detkit.errors import ConfigError

_COUNTING = "ClassBalancedLoss"
# With these the head reads as many channels as the backbone's last level has.
_SAME_CHANNELS = "GlobalAveragePooling"


def derive_classifier(
    model: Any, counts: Sequence[int] | None, scope: str = ours.SCOPE
) -> None:
    """Fill in the head's ``in_channels`` and every ``class_counts``, where not given.

    Args:
        model: the classifier's config, ``num_classes`` derived already; changed in place.
        counts: training pictures of each class, in the order of the labels; None when not known.
        scope: the config's default scope.

    Raises:
        ConfigError: the config gives a number that contradicts the backbone or the data.
    """
    _settle_channels(model, scope)
    for path, loss in _counting(model, "model", scope):
        given = loss.get("class_counts")
        classes = (model.get("head") or {}).get("num_classes")
        if given is None:
            if counts is not None:
                loss["class_counts"] = [int(count) for count in counts]
        # What is no list the loss itself refuses.
        elif (isinstance(classes, int) and isinstance(given, (list, tuple))
              and len(given) != classes):
            raise ConfigError(
                f"{path}.class_counts: the loss and the data contradict each other",
                got=f"{len(given)} counts", expected=f"one for each of {classes} classes",
                do="leave class_counts out to have the training split's, or pass --cfg-options "
                f"{as_option(path)}.class_counts=None",
            )


def wants_class_counts(cfg: Config) -> bool:
    """Whether a loss of ``cfg`` weighs classes by counts that the config does not give."""
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    return any(part.get("class_counts") is None
               for _, part in _counting(cfg.get("model"), "model", scope))


def _settle_channels(model: Any, scope: str) -> None:
    backbone, head = model.get("backbone"), model.get("head")
    if not all(isinstance(part, Mapping) and "type" in part for part in (backbone, head)):
        return
    pooling = model.get("pooling")
    if isinstance(pooling, Mapping) and not str(pooling.get("type")).endswith(_SAME_CHANNELS):
        return
    target = class_of(head, scope=scope)
    if target is None or "in_channels" not in signature_of(target).names:
        return
    channels = feature_channels(backbone, scope, build=head.get("in_channels") is None)
    if not channels:
        return
    given, wanted = head.get("in_channels"), channels[-1]
    if given is None:
        head["in_channels"] = wanted
    elif given != wanted:
        refuse([Clash("model.head.in_channels", given, wanted)], "head", "backbone")


def _counting(value: Any, path: str, scope: str) -> Iterator[tuple[str, Any]]:
    """Every loss in ``value`` that weighs classes by their counts, with its path."""
    if isinstance(value, Mapping):
        if "type" in value:
            target = class_of(value, scope=scope)
            if getattr(target, "__name__", "") == _COUNTING:
                yield path, value
        for name, item in value.items():
            yield from _counting(item, f"{path}.{name}", scope)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _counting(item, f"{path}[{index}]", scope)
