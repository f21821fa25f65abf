"""Teaching networks by their names, each whole but for its last layer."""

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
from detkit.registry import MODELS
from detkit.text import name_hint

_NAME = "ClassicNetwork"
_DETKIT_NETWORKS: dict[str, Any] = {"lenet5": LeNet5, "zfnet": ZFNet}


@MODELS.register_module()
class ClassicNetwork(BaseModule):  # type: ignore[misc]
    """A network that classification was learned on, from LeNet-5 to ConViT, without its last layer.

    LeNet-5 and ZFNet are written here; the others are torchvision's or timm's, at random.
    ``CLASSIC_NETWORKS`` says whose each is, its paper and its smallest image. GoogLeNet comes
    without the two auxiliary classifiers of its paper, which a deep network of its day needed to
    learn at all, and torchvision's batch norms make needless. It gives one vector for
    each image and serves no detector.

    Args:
        name: one of ``CLASSIC_NETWORKS``.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file of the network's maker
            or ours; see ``detkit.models.weights``.
        kwargs: more arguments for who makes it: in_channels of LeNet-5 and ZFNet, dropout of
            ZFNet, AlexNet and VGG, img_size of ViT, CoAtNet and ConViT (224 unless it is given).

    Attributes:
        feature_channels: (C,), of the one vector.
        feature_strides: None, for a vector has none.
        min_size: of images that it takes, in pixels.
        fixed_size: where square images of one size alone are taken, their side; else None.

    Raises:
        ConfigError: a name or an argument that there is not.

    Source: the papers of the table. Agrees with torchvision's and timm's on the same weights.
    """

    checkpoint_filter_fn = staticmethod(classic_checkpoint_filter_fn)
    classifier_prefixes_fn = staticmethod(classic_classifier_prefixes)

    feature_strides = None

    def __init__(self, name: str, init_cfg: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(init_cfg=init_cfg)
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
        """Load the weights that ``init_cfg`` names; without, the maker's random beginning stays.

        Raises:
            WeightsError: weights cannot be read, or do not fit.
        """
        initialize_weights(self, self.init_cfg)
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Compute what the network's last layer would be fed with.

        Args:
            x: (B, 3, H, W), normalised image; H and W at least ``min_size``, and
                ``fixed_size`` where that is set.

        Returns:
            one tensor (B, C).

        Raises:
            ConfigError: the image is too small, or not of the one size.
        """
        height, width = x.shape[-2:]
        if self.fixed_size is not None and not height == width == self.fixed_size:
            raise ConfigError(
                f"{_NAME}: {self.name} takes images of one size alone",
                got=f"{width} x {height} pixels",
                expected=f"{self.fixed_size} x {self.fixed_size}",
                hint="resize the images so, or set img_size",
            )
        if min(height, width) < self.min_size:
            raise ConfigError(
                f"{_NAME}: the image is too small for {self.name}",
                got=f"{width} x {height} pixels",
                expected=f"sides of at least {self.min_size}",
                hint="resize the images to more",
            )
        return (self.model(x),)

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """How deep a parameter lies, for learning rates that fall with the distance to the head.

        Args:
            param_name: with the prefix that the backbone has in its model.
            prefix: such as 'backbone.'; a name without it belongs to what follows the backbone.

        Returns:
            the depth, 0 for the stem, and the number of depths, of which the last is the head's.

        Source: mmpretrain's backbones have the same method; timm's grouping of timm's, else layer
        by layer, block by block where there are blocks.
        """
        if self.entry.library == "timm":
            layer_ids = get_layer_ids(self.model, self.name, coarse=False, owner=_NAME)
        else:
            layer_ids = _layer_ids_by_pattern(self.model, self.entry.layer_pattern)
        return get_layer_depth(layer_ids, param_name, prefix, inner_prefix="model.")


def _from_torchvision(
    name: str, entry: ClassicNetworkEntry, options: dict[str, Any]
) -> tuple[nn.Module, int]:
    """torchvision's network with nothing in place of its last layer, and what that was fed with."""
    import torchvision

    if name == "googlenet":
        options = {"aux_logits": False, "init_weights": True, **options}
    for key in ("weights", "num_classes", "progress"):
        if key in options:
            raise ConfigError(f"{_NAME}: {name}: the argument '{key}' is not taken",
                              hint="the last layer is the head's, and init_cfg names weights")
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
        raise ConfigError(f"{_NAME}: {name} cannot be built so ({reason})",
                          got=", ".join(f"{key}={value!r}" for key, value in options.items())
                          ) from error


def _fixed_image_size(entry: ClassicNetworkEntry, options: dict[str, Any]) -> int | None:
    """Side of the square images that alone are taken; None where others are."""
    if entry.min_size is not None or options.get("dynamic_img_size"):
        return None
    size = options.get("img_size", entry.image_size)
    return int(size if isinstance(size, int) else size[0])


def _layer_ids_by_pattern(model: nn.Module, pattern: str) -> dict[str, int]:
    """The number of the layer of each parameter, 0 for the first.

    What the pattern does not find goes with the layer before it.
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
