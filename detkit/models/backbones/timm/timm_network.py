"""Any image-classification model of timm without its last layer."""

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
from detkit.models.weights.published_args import resolve_weights
from detkit.registry import MODELS

_NAME = "TimmNetwork"


@MODELS.register_module()
class TimmNetwork(BaseModule):  # type: ignore[misc]
    """A model of timm with its pooling and norms, for a classifier with one linear layer.

    ``TimmBackbone`` returns feature maps; this returns the input of timm's last layer, including
    class tokens, final norms and the convolutions after the pooling (MobileNetV3), so that it
    agrees with timm's classifier. It is for classifiers only; its weights also load into a
    ``TimmBackbone`` of the same name.

    Args:
        name: of timm's model, with or without a tag of pretrained weights: 'resnet50.a1_in1k'.
        pretrained: whether ``init_weights`` downloads timm's pretrained weights, unless
            ``init_cfg`` is given.
        weights: 'imagenet' for timm's default weights of the model, or the tag or full name of
            others; None begins at random. With ``init_cfg`` its file is loaded instead.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` with a file in timm's layout, one
            that timm converts, or detkit's; see ``detkit.models.weights``.
        kwargs: more arguments for ``timm.create_model``: img_size (the input size
            of transformers with a fixed size), drop_path_rate, in_chans, global_pool, ...

    Attributes:
        feature_channels: (C,), of the output vector.
        feature_strides: None.

    Raises:
        ConfigError: an unknown name or argument.
        WeightsError: an unknown tag of weights.

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
        weights: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=resolve_weights(_NAME, name, weights, init_cfg)[0])
        check_timm_name(name, _NAME)
        self.name, self.pretrained = name, pretrained
        self.options = {key: value for key, value in kwargs.items() if value is not None}
        self.model: Any = create_timm_model(name, self.options, _NAME, num_classes=0)
        # timm's name for models with more channels after the pooling (MobileNetV3, VGG).
        channels: Any = getattr(self.model, "head_hidden_size", None) or self.model.num_features
        self.feature_channels = (int(channels),)

    def init_weights(self) -> None:
        """Load the weights of ``init_cfg``, else timm's if ``pretrained``.

        Without either, keep timm's random initialization.

        Raises:
            WeightsError: the weights cannot be downloaded or read, or do not fit.
        """
        if self.init_cfg:
            initialize_weights(self, self.init_cfg)
        elif self.pretrained:
            report = load_backbone_weights(self, fetch_pretrained(self.name, _NAME))
            print_log(str(report), logger="current")
        self._is_init = True

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Compute the input of timm's last layer.

        Args:
            x: (B, 3 or in_chans, H, W), normalized images of a supported size.

        Returns:
            a tuple of one tensor (B, C).

        Raises:
            ConfigError: the model does not support this image size.
        """
        try:
            return (self.model(x),)
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = self._input_size_error(x)
            if reason is None:
                raise
            raise ConfigError(
                f"{_NAME}: {self.name} does not support this image size ({reason})",
                got=f"{x.shape[-1]} x {x.shape[-2]} pixels",
                hint="set img_size, if the model has it, or resize the images",
            ) from error

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Get the depth of a parameter, for layer-wise learning rate decay.

        Args:
            param_name: with the prefix that the backbone has in its model.
            prefix: such as 'backbone.'; names without it belong to later modules.

        Returns:
            the depth, 0 for the stem, and the number of depths; the last depth is the head's.

        Raises:
            ConfigError: timm has no layer groups for this model.

        Source: mmpretrain's backbones have the same method; timm's parameter groups.
        """
        layers = get_layer_ids(self.model, self.name, coarse=False, owner=_NAME)
        return get_layer_depth(layers, param_name, prefix, inner_prefix="model.")

    def _input_size_error(self, x: Tensor) -> str | None:
        """The error that the input shape causes; None where it causes none.

        Used after a failure only: runs a second model on torch's meta device.
        """
        with torch.device("meta"), torch.no_grad():
            meta_model = create_timm_model(self.name, self.options, _NAME, num_classes=0).eval()
            try:
                meta_model(torch.empty(x.shape))
            except (AssertionError, RuntimeError, ValueError) as error:
                return " ".join(str(error).split())[:150] or type(error).__name__
        return None
