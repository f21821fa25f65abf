"""Published weights by name: ``weights='imagenet'`` of a backbone, ``published:NAME`` of a file."""

from __future__ import annotations

from collections.abc import Iterator

from detkit.checkpoints.published_files import fetch, locate
from detkit.checkpoints.published_libraries import (
    is_timm_type,
    timm_efficientnet_weights,
    timm_names,
    timm_weights,
    torchvision_weights,
)
from detkit.checkpoints.published_table import TABLE
from detkit.checkpoints.published_weights import PublishedWeights
from detkit.errors import ConfigError
from detkit.text import list_names, name_hint

__all__ = ["BEST", "PUBLISHED_PREFIX", "PublishedWeights", "fetch", "find_by_name",
           "find_published", "list_published", "locate"]

BEST = "imagenet"
PUBLISHED_PREFIX = "published:"  # of a checkpoint that is a name instead of a file
_MAX_LISTED = 8
_FAMILIES = ("EfficientNet", "SwinTransformer", "ConvNeXtV2", "ClassicNetwork")


def find_published(backbone: str, arch: str, weights: str) -> PublishedWeights:
    """Find published weights for a backbone.

    Args:
        backbone: registered type, such as 'EfficientNet'.
        arch: its ``arch``, or the ``name`` of a ``TimmBackbone`` or ``TimmNetwork``.
        weights: 'imagenet' for the highest published top-1 accuracy on ImageNet-1k (of timm's
            models, timm's default), or a name of ``list_published``; of timm's models also the tag
            alone, such as 'a1_in1k'.

    Raises:
        ConfigError: there are no weights of this name, or they are for another architecture.
    """
    if is_timm_type(backbone):
        return _find_timm(backbone, arch, weights)
    arch = arch.replace("-", "_") if backbone == "EfficientNet" else arch
    if weights == BEST:
        return _find_best(backbone, arch)
    known: list[PublishedWeights] = []
    for published in _iter_family(backbone):
        if published.name == weights:
            if published.arch == arch:
                return published
            raise ConfigError(
                f"{backbone}: weights='{weights}' are for another architecture",
                got=f"arch='{arch}'", expected=f"arch='{published.arch}'",
                hint=f"or weights for '{arch}': {_list_arch(backbone, arch)}")
        known.append(published)
    names = [published.name for published in known]
    raise ConfigError(
        f"{backbone}: no published weights are named '{weights}'",
        expected=f"'{BEST}' or one of {_list_arch(backbone, arch)}",
        hint=name_hint(weights, [BEST, *names]) or "'detkit weights' lists all")


def find_by_name(name: str, backbone: str | None = None) -> PublishedWeights:
    """Find published weights of any backbone by their name.

    Args:
        name: of the weights.
        backbone: registered type that will load them: timm's EfficientNets are weights of
            ``EfficientNet`` and of ``TimmBackbone``, with different arguments.

    Raises:
        ConfigError: there are none of this name.
    """
    for family in _FAMILIES:
        for published in _iter_family(family, with_timm=family == backbone):
            if published.name == name:
                return published
    timm_record = timm_weights(name)
    if timm_record is None or timm_record.name != name:
        raise ConfigError(
            f"no published weights are named '{name}'",
            hint=name_hint(name, [p.name for p in list_published()]) or "'detkit weights' lists all"
        )
    return timm_record


def list_published(backbone: str | None = None) -> list[PublishedWeights]:
    """List the published weights of a backbone class.

    Args:
        backbone: registered type; None for all classes but those of timm's models, of which there
            are more than a thousand.
    """
    if backbone is not None and is_timm_type(backbone):
        records = (timm_weights(name, backbone) for name in timm_names())
        return [record for record in records if record is not None]
    families = _FAMILIES if backbone is None else (backbone,)
    return [published for family in families for published in _iter_family(family)]


def _iter_family(backbone: str, with_timm: bool = True) -> Iterator[PublishedWeights]:
    """The weights of one class; timm, whose import takes seconds, comes last."""
    yield from (published for published in TABLE if published.backbone == backbone)
    yield from torchvision_weights(backbone)
    if with_timm and backbone == "EfficientNet":
        yield from timm_efficientnet_weights()


def _find_best(backbone: str, arch: str) -> PublishedWeights:
    for with_timm in (False, True):
        found = [p for p in _iter_family(backbone, with_timm) if p.arch == arch]
        if found:
            return max(found, key=lambda published: published.top1 or 0.0)
    archs = dict.fromkeys(published.arch for published in _iter_family(backbone))
    raise ConfigError(
        f"{backbone}: no weights are published for arch='{arch}'",
        expected=f"one of {', '.join(archs)}" if archs else None,
        hint="set weights=None to begin at random, or give a file: "
        "init_cfg=dict(type='Pretrained', checkpoint=FILE)")


def _find_timm(backbone: str, name: str, weights: str) -> PublishedWeights:
    model, _, tag = name.partition(".")
    full_name = name if weights == BEST else weights if "." in weights else f"{model}.{weights}"
    published = timm_weights(full_name, backbone)
    if published is not None and published.arch == model and (weights == BEST or not tag
                                                              or published.name == name):
        return published
    if published is not None:
        raise ConfigError(f"{backbone}: weights='{weights}' are for another model",
                          got=f"name='{name}'", expected=f"name='{published.arch}'")
    names = [known for known in timm_names() if known.partition(".")[0] == model]
    raise ConfigError(
        f"{backbone}: timm has no weights '{full_name}'",
        expected=f"one of {list_names(names, _MAX_LISTED)}" if names else None,
        hint=name_hint(full_name, names) or "set weights=None to begin at random")


def _list_arch(backbone: str, arch: str) -> str:
    names = [published.name for published in _iter_family(backbone) if published.arch == arch]
    return list_names(names, _MAX_LISTED) or "none"
