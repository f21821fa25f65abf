"""``weights=`` of a backbone: the arguments and the file that follow from published weights."""

from __future__ import annotations

from typing import Any

from detkit.checkpoints.published.find_published import (
    BEST,
    PUBLISHED_PREFIX,
    PublishedWeights,
    find_published,
)
from detkit.errors import ConfigError

InitCfg = dict[str, Any]


def find_weights(backbone: str, arch: object, weights: object) -> PublishedWeights:
    """Find the weights that a backbone's ``weights`` names.

    Args:
        backbone: registered type, such as 'EfficientNet'.
        arch: its ``arch``, or ``name`` of timm's models.
        weights: 'imagenet' or a name; see ``find_published``.

    Raises:
        ConfigError: an unknown name, weights for another architecture, or an architecture that is
            no name.
    """
    if not isinstance(weights, str):
        raise ConfigError(f"{backbone}: weights", got=repr(weights),
                          expected=f"'{BEST}', the name of published weights, or None")
    if not isinstance(arch, str):
        raise ConfigError(f"{backbone}: weights='{weights}' are for a published architecture",
                          got=f"arch={arch!r}", expected="the name of an architecture",
                          hint="set weights=None for an architecture of your own")
    return find_published(backbone, arch, weights)


def resolve_weights(
    backbone: str, arch: object, weights: object, init_cfg: InitCfg | None, **args: Any
) -> tuple[InitCfg | None, dict[str, Any]]:
    """Get the ``init_cfg`` and the arguments of a backbone with ``weights``.

    Args:
        backbone, arch, weights: as ``find_weights`` takes them; with ``weights=None`` the rest is
            returned as it is.
        init_cfg: the user's, whose file is then loaded in place of the published one.
        args: arguments that the weights may decide; None where the user has set none.

    Raises:
        ConfigError: an argument has another value than the weights were trained with; or as
            ``find_weights``.
    """
    if weights is None:
        return init_cfg, args
    published = find_weights(backbone, arch, weights)
    for name in published.conflicts(args):
        raise ConfigError(
            f"{backbone}: {name} contradicts weights='{weights}' ({published.name})",
            got=f"{name}={args[name]!r}",
            expected=f"{name}={published.backbone_args[name]!r}, which they were trained with",
            hint=f"leave {name} out")
    if init_cfg is None:
        init_cfg = {"type": "Pretrained", "checkpoint": PUBLISHED_PREFIX + published.name}
    return init_cfg, {**args, **published.backbone_args}
