"""Any image-classification model of timm, whole but for its last layer."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor

from detkit.errors import ConfigError
from detkit.models.backbones.layer_depth import get_layer_depth
from detkit.models.backbones.timm.checkpoint_filter import (
    timm_checkpoint_filter_fn,
    timm_classifier_prefixes,
)
from detkit.models.backbones.timm.create import check_timm_name, create_timm_model
from detkit.models.backbones.timm.hub import fetch_pretrained
from detkit.models.backbones.timm.layer_groups import get_layer_ids
from detkit.models.weights.backbone_weights import initialize_weights, load_backbone_weights
from detkit.registry import MODELS

_NAME = "TimmNetwork"


@MODELS.register_module()
class TimmNetwork(BaseModule):  # type: ignore[misc]
    """A model of timm with its own pooling and norms, for a classifier of one linear layer.

    Where ``TimmBackbone`` gives a map of the last level, this gives what timm's own last layer
    is fed with: class tokens, final norms and the convolutions behind the pooling (MobileNetV3)
    are in it, so that the published weights mean what they meant. It gives no maps and serves no
    detector; its weights start a ``TimmBackbone`` of the same name.

    Args:
        name: of timm's model, with or without a tag of its weights: 'resnet50.a1_in1k'.
        pretrained: whether ``init_weights`` fetches timm's published weights, unless ``init_cfg``
            says where to take them from.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file in timm's layout, one
            that timm itself converts, or ours; see ``detkit.models.weights``.
        kwargs: more arguments for ``timm.create_model``: img_size (transformers take images of
            one size alone, and it says which), drop_path_rate, in_chans, global_pool, ...

    Attributes:
        feature_channels: (C,), of the one vector.
        feature_strides: None, for a vector has none.

    Raises:
        ConfigError: a name or an argument that there is not.
        WeightsError: a tag of weights that there is not.

    Source: timm. Agrees with its ``forward_head(..., pre_logits=True)`` on the same weights.
    """

    checkpoint_filter_fn = staticmethod(timm_checkpoint_filter_fn)
    classifier_prefixes_fn = staticmethod(timm_classifier_prefixes)

    feature_strides = None

    def __init__(
        self,
        name: str,
        pretrained: bool = False,
        init_cfg: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_timm_name(name, _NAME)
        self.name, self.pretrained = name, pretrained
        self.options = {key: value for key, value in kwargs.items() if value is not None}
        self.model: Any = create_timm_model(name, self.options, _NAME, num_classes=0)
        # Of models that widen behind the pooling (MobileNetV3, VGG) timm calls it so.
        channels: Any = getattr(self.model, "head_hidden_size", None) or self.model.num_features
        self.feature_channels = (int(channels),)

    def init_weights(self) -> None:
        """Load the weights that ``init_cfg`` names, else timm's where they are asked for.

        Without either timm's own random beginning stays.

        Raises:
            WeightsError: weights cannot be had or read, or do not fit.
        """
        if self.init_cfg:
            initialize_weights(self, self.init_cfg)
        elif self.pretrained:
            report = load_backbone_weights(self, fetch_pretrained(self.name, _NAME))
            print_log(str(report), logger="current")
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Compute what timm's last layer would be fed with.

        Args:
            x: (B, 3, H, W), or in_chans for 3; normalised image, of a size that the model takes.

        Returns:
            one tensor (B, C).

        Raises:
            ConfigError: the model takes no images of this size.
        """
        try:
            return (self.model(x),)
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = self._input_size_error(x)
            if reason is None:
                raise
            raise ConfigError(
                f"{_NAME}: {self.name} takes no images of this size ({reason})",
                got=f"{x.shape[-1]} x {x.shape[-2]} pixels",
                hint="set img_size, where the model has it, or resize the images",
            ) from error

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """How deep a parameter lies, for learning rates that fall with the distance to the head.

        Args:
            param_name: with the prefix that the backbone has in its model.
            prefix: such as 'backbone.'; a name without it belongs to what follows the backbone.

        Returns:
            the depth, 0 for the stem, and the number of depths, of which the last is the head's.

        Raises:
            ConfigError: timm does not say for this model.

        Source: mmpretrain's backbones have the same method; timm's own grouping.
        """
        layers = get_layer_ids(self.model, self.name, coarse=False, owner=_NAME)
        return get_layer_depth(layers, param_name, prefix, inner_prefix="model.")

    def _input_size_error(self, x: Tensor) -> str | None:
        """Why the shape alone makes the model fail; None where it does not.

        Asked only after a failure: a second model without content is run on torch's meta device.
        """
        with torch.device("meta"), torch.no_grad():
            meta_model = create_timm_model(self.name, self.options, _NAME, num_classes=0).eval()
            try:
                meta_model(torch.empty(x.shape))
            except (AssertionError, RuntimeError, ValueError) as error:
                return " ".join(str(error).split())[:150] or type(error).__name__
        return None
