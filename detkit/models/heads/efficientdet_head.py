"""EfficientDet's head: separable convolutions shared by all levels, batch norms per level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from mmcv.cnn import build_norm_layer
from mmdet.models.dense_heads import AnchorHead
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.layers.separable_conv import SeparableConv2d
from detkit.models.validation import check_count
from detkit.registry import MODELS

# Initial score of every anchor, so that the many negatives do not dominate the first steps.
PRIOR_PROB = 0.01
_NAME = "EfficientDetHead"


@MODELS.register_module()
class EfficientDetHead(AnchorHead):  # type: ignore[misc]  # mmdet has no types
    """Class scores and box deltas of anchors from two towers of separable convolutions.

    All levels share the convolutions; each level has its own norms.

    Args:
        num_ins: number of levels; must match the neck and the strides of ``anchor_generator``.
        stacked_convs: number of convolutions in a tower before the prediction layer.
        norm_cfg: None means batch norm with the paper's eps and momentum.
        num_classes, in_channels, feat_channels, anchor_generator and all others but ``init_cfg``:
            as for mmdet's ``AnchorHead``.

    Raises:
        ConfigError: an invalid number of levels or convolutions, or another number of strides.

    Source: arXiv 1911.09070. As many parameters as the public PyTorch port of the authors' code.
    """

    def __init__(
        self,
        num_ins: int = 5,
        stacked_convs: int = 3,
        norm_cfg: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        check_count(_NAME, "num_ins", num_ins)
        check_count(_NAME, "stacked_convs", stacked_convs)
        self.num_ins = num_ins
        self.stacked_convs = stacked_convs
        self.norm_cfg = norm_cfg or dict(type="BN", eps=1e-3, momentum=0.01)
        # None: AnchorHead's default would overwrite the initialization of SeparableConv2d.
        super().__init__(init_cfg=None, **kwargs)
        strides = self.prior_generator.num_levels
        if strides != num_ins:
            raise ConfigError(f"{_NAME}: strides of anchor_generator", got=strides,
                              expected=f"{num_ins}, one for each level (num_ins)")

    def _init_layers(self) -> None:
        self.act = nn.SiLU()
        self.cls_tower, self.cls_norms = self._build_tower()
        self.reg_tower, self.reg_norms = self._build_tower()
        scores = self.num_base_priors * self.cls_out_channels
        self.cls_predict = SeparableConv2d(self.feat_channels, scores, bias=True)
        self.reg_predict = SeparableConv2d(
            self.feat_channels, self.num_base_priors * self.bbox_coder.encode_size, bias=True
        )
        bias = cast(Tensor, self.cls_predict[1].bias)
        nn.init.constant_(bias, math.log(PRIOR_PROB / (1 - PRIOR_PROB)))

    def _build_tower(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        widths = [self.in_channels] + [self.feat_channels] * self.stacked_convs
        convs = nn.ModuleList(SeparableConv2d(a, b) for a, b in zip(widths, widths[1:]))
        norms = nn.ModuleList(
            nn.ModuleList(build_norm_layer(self.norm_cfg, width)[1] for width in widths[1:])
            for _ in range(self.num_ins)
        )
        return convs, norms

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Predict for each level.

        Args:
            x: ``num_ins`` maps (B, in_channels, H, W). B may be 0 in eval mode.

        Returns:
            for each level the class logits (B, anchors x classes, H, W) and the box deltas
            (B, anchors x 4, H, W), unitless, as the ``bbox_coder`` decodes them.

        Raises:
            ConfigError: the number of feature maps is not ``num_ins``.
        """
        if len(x) != self.num_ins:
            raise ConfigError(f"{_NAME}: feature maps of the neck", got=len(x),
                              expected=f"{self.num_ins}, the value of num_ins",
                              hint="set model.bbox_head.num_ins and the strides of "
                              "anchor_generator to the levels of model.neck.num_outs")
        scores, deltas = [], []
        for level, features in enumerate(x):
            scores.append(self.cls_predict(
                self._apply_tower(self.cls_tower, self.cls_norms[level], features)))
            deltas.append(self.reg_predict(
                self._apply_tower(self.reg_tower, self.reg_norms[level], features)))
        return scores, deltas

    def _apply_tower(self, convs: nn.ModuleList, norms: Any, features: Tensor) -> Tensor:
        for conv, norm in zip(convs, norms):
            features = self.act(norm(conv(features)))
        return features
