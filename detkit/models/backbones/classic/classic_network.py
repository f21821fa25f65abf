"""Classic classification networks by name, without their last layer."""

from __future__ import annotations

import re
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.backbones.classic.checkpoint_filter import (
    classic_checkpoint_filter_fn,
    classic_classifier_prefixes,
)
from detkit.models.backbones.classic.classic_networks import CLASSIC_NETWORKS, ClassicNetworkEntry
from detkit.models.backbones.classic.lenet5 import LeNet5
from detkit.models.backbones.classic.zfnet import ZFNet
from detkit.models.backbones.layer_depth import get_layer_depth
from detkit.models.backbones.timm.create import create_timm_model
from detkit.models.backbones.timm.layer_groups import get_layer_ids
from detkit.models.weights.backbone_weights import initialize_weights
from detkit.models.weights.published_args import resolve_weights
from detkit.registry import MODELS
from detkit.text import name_hint

_NAME = "ClassicNetwork"
_DETKIT_NETWORKS: dict[str, Any] = {"lenet5": LeNet5, "zfnet": ZFNet}


@MODELS.register_module()
class ClassicNetwork(BaseModule):  # type: ignore[misc]
    """A classic classification network, from LeNet-5 to ConViT, without its last layer.

    LeNet-5 and ZFNet are implemented here; the others are torchvision's or timm's, randomly
    initialized. ``CLASSIC_NETWORKS`` has the library, the paper and the smallest image of each.
    GoogLeNet has no auxiliary classifiers; with torchvision's batch norms it trains without them.
    The output is one vector for each image, so it is for classifiers only.

    Args:
        name: one of ``CLASSIC_NETWORKS``.
        weights: 'imagenet' or a name for torchvision's weights of its networks; None begins at
            random. With ``init_cfg`` its file is loaded instead.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file of the network's
            library or of detkit; see ``detkit.models.weights``.
        kwargs: more arguments of the network: in_channels of LeNet-5 and ZFNet, dropout of
            ZFNet, AlexNet and VGG, img_size of ViT, CoAtNet and ConViT (default 224).

    Attributes:
        feature_channels: (C,), of the output vector.
        feature_strides: None.
        min_size: smallest image side, in pixels.
        fixed_size: side of the square images where the network takes one size only; else None.

    Raises:
        ConfigError: an unknown name or argument.

    Source: the papers in the table. Agrees with torchvision's and timm's on the same weights.
    """

    checkpoint_filter_fn = staticmethod(classic_checkpoint_filter_fn)
    classifier_prefixes_fn = staticmethod(classic_classifier_prefixes)

    feature_strides = None

    def __init__(self, name: str, init_cfg: dict[str, Any] | None = None,
                 weights: str | None = None, **kwargs: Any) -> None:
        super().__init__(init_cfg=resolve_weights(_NAME, name, weights, init_cfg)[0])
        if not isinstance(name, str) or name not in CLASSIC_NETWORKS:
            raise ConfigError(f"{_NAME}: name", got=repr(name),
                              expected=f"one of {', '.join(CLASSIC_NETWORKS)}",
                              hint=name_hint(str(name), CLASSIC_NETWORKS))
        self.name, self.entry = name, CLASSIC_NETWORKS[name]
        options = {key: value for key, value in kwargs.items() if value is not None}
        self.options = options
        self.model: Any
        if self.entry.library == "timm":
            self.model = create_timm_model(name, options, _NAME, num_classes=0)
            channels = self.model.num_features
        elif self.entry.library == "torchvision":
            self.model, channels = _from_torchvision(name, self.entry, options)
        else:
            self.model = _build_model(name, _DETKIT_NETWORKS[name], options)
            channels = self.model.num_features
        self.feature_channels = (int(channels),)
        self.fixed_size = _fixed_image_size(self.entry, options)
        self.min_size = self.fixed_size or self.entry.min_size or 1

    def init_weights(self) -> None:
        """Load the weights of ``init_cfg``; without it, keep the library's random initialization.

        Raises:
            WeightsError: the weights cannot be read, or do not fit.
        """
        initialize_weights(self, self.init_cfg)
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Compute the input of the network's last layer.

        Args:
            x: (B, 3, H, W), normalized images; H and W at least ``min_size``, and
                ``fixed_size`` where that is set.

        Returns:
            a tuple of one tensor (B, C).

        Raises:
            ConfigError: the image is too small, or not of the fixed size.
        """
        height, width = x.shape[-2:]
        if self.fixed_size is not None and not height == width == self.fixed_size:
            raise ConfigError(
                f"{_NAME}: {self.name} takes images of a fixed size only",
                got=f"{width} x {height} pixels",
                expected=f"{self.fixed_size} x {self.fixed_size}",
                hint="resize the images, or set img_size",
            )
        if min(height, width) < self.min_size:
            raise ConfigError(
                f"{_NAME}: the image is too small for {self.name}",
                got=f"{width} x {height} pixels",
                expected=f"sides of at least {self.min_size}",
                hint="use larger images",
            )
        return (self.model(x),)

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Get the depth of a parameter, for layer-wise learning rate decay.

        Args:
            param_name: with the prefix that the backbone has in its model.
            prefix: such as 'backbone.'; names without it belong to later modules.

        Returns:
            the depth, 0 for the stem, and the number of depths; the last depth is the head's.

        Source: mmpretrain's backbones have the same method; timm's grouping for timm's networks,
        else one depth for each layer or block.
        """
        if self.entry.library == "timm":
            layer_ids = get_layer_ids(self.model, self.name, coarse=False, owner=_NAME)
        else:
            layer_ids = _layer_ids_by_pattern(self.model, self.entry.layer_pattern)
        return get_layer_depth(layer_ids, param_name, prefix, inner_prefix="model.")


def _from_torchvision(
    name: str, entry: ClassicNetworkEntry, options: dict[str, Any]
) -> tuple[nn.Module, int]:
    """torchvision's network without its last layer, and the channels before it."""
    import torchvision

    if name == "googlenet":
        options = {"aux_logits": False, "init_weights": True, **options}
    for key in ("weights", "num_classes", "progress"):
        if key in options:
            raise ConfigError(f"{_NAME}: {name}: the argument '{key}' is not supported",
                              hint="the head is the last layer; load weights with init_cfg")
    model: nn.Module = _build_model(name, getattr(torchvision.models, name), options)
    classifier = model.get_submodule(entry.classifier)
    assert isinstance(classifier, nn.Linear)
    model.set_submodule(entry.classifier, nn.Identity())
    return model, classifier.in_features


def _build_model(name: str, factory: Any, options: dict[str, Any]) -> Any:
    try:
        return factory(**options)
    except TypeError as error:
        reason = re.sub(r"^.*\(\) ", "", str(error))
        raise ConfigError(f"{_NAME}: {name} cannot be built with these arguments ({reason})",
                          got=", ".join(f"{key}={value!r}" for key, value in options.items())
                          ) from error


def _fixed_image_size(entry: ClassicNetworkEntry, options: dict[str, Any]) -> int | None:
    """Side of the square images of a network with a fixed input size, else None."""
    if entry.min_size is not None or options.get("dynamic_img_size"):
        return None
    size = options.get("img_size", entry.image_size)
    return int(size if isinstance(size, int) else size[0])


def _layer_ids_by_pattern(model: nn.Module, pattern: str) -> dict[str, int]:
    """The layer index of each parameter, 0 for the first.

    Parameters that the pattern does not match belong to the previous layer.
    """
    layer_ids: dict[str, int] = {}
    current = None
    for name, _ in model.named_parameters():
        match = re.search(pattern, name)
        layer = match[0] if match else current
        if not layer_ids:
            layer_id = 0
        elif layer != current:
            layer_id += 1
        current = layer
        layer_ids[name] = layer_id
    return layer_ids
