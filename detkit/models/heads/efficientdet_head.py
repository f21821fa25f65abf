"""EfficientDet's head: separable convolutions for all levels, with norms for each level."""

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

# Of all anchors' scores at first, so that the many without an object do not drown the few with.
PRIOR_PROB = 0.01
_NAME = "EfficientDetHead"


@MODELS.register_module()
class EfficientDetHead(AnchorHead):  # type: ignore[misc]  # mmdet has no types
    """Scores and boxes of anchors by two towers of separable convolutions.

    The convolutions are those of all levels, the norms behind them each level's own.

    Args:
        num_ins: levels, as many as the neck gives and ``anchor_generator`` has strides.
        stacked_convs: convolutions of a tower before the last, which predicts.
        norm_cfg: None is batch norm with the paper's eps and momentum.
        num_classes, in_channels, feat_channels, anchor_generator and all others but ``init_cfg``:
            mmdet's ``AnchorHead``'s.

    Raises:
        ConfigError: levels or convolutions that cannot be, or another number of strides.

    Source: arXiv 1911.09070. Parameters are as many as in the public PyTorch port of its authors'
    code.
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
        # None: AnchorHead's would set all weights anew, and too small for norms to be needed.
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
            for each level the scores before the sigmoid, (B, anchors x classes, H, W), and the
            deltas of boxes, (B, anchors x 4, H, W), unitless, as the ``bbox_coder`` reads them.

        Raises:
            ConfigError: another number of maps.
        """
        if len(x) != self.num_ins:
            raise ConfigError(f"{_NAME}: maps of the neck", got=len(x),
                              expected=f"{self.num_ins}, as num_ins and the anchors' strides say",
                              hint="give model.bbox_head.num_ins and anchor_generator.strides as "
                              "many levels as model.neck.num_outs")
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
