"""Infer the fields that a classifier's config omits: head channels and class counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from detkit import registry as detkit_registry
from detkit.config.infer.feature_info import get_feature_channels
from detkit.config.infer.mismatch import Mismatch, raise_mismatches, to_option_key
from detkit.config.validate.registry_lookup import is_subclass, resolve_class
from detkit.config.validate.signatures import get_signature
from detkit.errors import ConfigError
from detkit.walk import walk_dicts


def infer_classifier_fields(
    model: Any, counts: Sequence[int] | None, scope: str = detkit_registry.SCOPE
) -> None:
    """Set the head's ``in_channels`` and every ``class_counts`` that the config omits.

    Args:
        model: the classifier's config, with ``num_classes``; changed in place.
        counts: number of training images of each class, in label order; None if unknown.
        scope: the config's default scope.

    Raises:
        ConfigError: a value in the config does not match the backbone or the dataset.
    """
    _infer_head_channels(model, scope)
    for path, loss in _iter_class_balanced_losses(model, scope):
        configured = loss.get("class_counts")
        classes = (model.get("head") or {}).get("num_classes")
        if configured is None:
            if counts is not None:
                loss["class_counts"] = [int(count) for count in counts]
        # The loss itself rejects a value that is no list.
        elif (isinstance(classes, int) and isinstance(configured, (list, tuple))
              and len(configured) != classes):
            raise ConfigError(
                f"{path}.class_counts: the loss does not match the dataset",
                got=f"{len(configured)} counts", expected=f"one for each of {classes} classes",
                hint="omit class_counts to count the training split, or pass --cfg-options "
                f"{to_option_key(path)}.class_counts=None",
            )


def needs_class_counts(cfg: Config) -> bool:
    """Whether a loss of ``cfg`` weights classes by counts that the config omits."""
    losses = _iter_class_balanced_losses(cfg.get("model"), detkit_registry.get_default_scope(cfg))
    return any(loss.get("class_counts") is None for _, loss in losses)


def _infer_head_channels(model: Any, scope: str) -> None:
    backbone, head = model.get("backbone"), model.get("head")
    if not all(
            isinstance(component, Mapping) and "type" in component
            for component in (backbone, head)):
        return
    pooling = model.get("pooling")
    if isinstance(pooling, Mapping) and not _keeps_channels(pooling, scope):
        return
    target = resolve_class(head, scope=scope)
    if target is None or "in_channels" not in get_signature(target).names:
        return
    channels = get_feature_channels(backbone, scope, build=head.get("in_channels") is None)
    if not channels:
        return
    configured, expected = head.get("in_channels"), channels[-1]
    if configured is None:
        head["in_channels"] = expected
    elif configured != expected:
        raise_mismatches([Mismatch("model.head.in_channels", configured, expected)], "head",
                         "backbone")


def _keeps_channels(pooling: Mapping[str, Any], scope: str) -> bool:
    """Whether the pooled vector has as many channels as the backbone's last level."""
    from mmdet.models.reid.gap import GlobalAveragePooling as MmdetGlobalAveragePooling

    from detkit.models.classifiers.pooling import GlobalAveragePooling

    return is_subclass(pooling, (GlobalAveragePooling, MmdetGlobalAveragePooling), scope=scope)


def _iter_class_balanced_losses(model: Any, scope: str) -> Iterator[tuple[str, Any]]:
    """The path and the config of every loss in ``model`` that weights classes by their counts."""
    from detkit.models.losses.class_balanced_loss import ClassBalancedLoss

    return ((path, loss) for path, loss in walk_dicts(model, "model")
            if is_subclass(loss, ClassBalancedLoss, scope=scope))
