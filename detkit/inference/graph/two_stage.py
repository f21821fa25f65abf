"""Faster and Cascade R-CNN as one module of tensors in and tensors out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from detkit.inference.graph.batched_nms import INVALID_SCORE
from detkit.inference.graph.box_coder import clip_bounds_of
from detkit.inference.graph.feature_extractor import FeatureExtractor
from detkit.inference.graph.results import Results
from detkit.inference.graph.roi_heads import CascadeRoIHeadGraph
from detkit.inference.graph.rpn import RPNGraph


class TwoStageGraph(nn.Module):
    """A two-stage detector without a loop over images or a shape that the picture decides.

    It shares the detector's weights. Only inside the suppression a number of boxes depends on
    what is seen.

    Args:
        model: mmdet's ``TwoStageDetector``, Faster or Cascade R-CNN, in eval mode.
        input_hw: height and width in pixels of what it will be given, multiples of the model's
            ``pad_size_divisor``.
        max_proposals: fewer proposals than the config's ``test_cfg.rpn.max_per_img``; None for
            as many.

    Raises:
        ExportError: a part of the model has no static form.

    Legend: B images; H x W the canvas; K results at most of each image.
    """

    def __init__(
        self, model: Any, input_hw: tuple[int, int], max_proposals: int | None = None
    ) -> None:
        super().__init__()
        self.feature_extractor = FeatureExtractor(model, input_hw)
        sizes_hw = self.feature_extractor.sizes_hw
        rpn = dict(model.test_cfg.rpn)
        if max_proposals is not None:
            rpn["max_per_img"] = min(max_proposals, int(rpn.get("max_per_img", max_proposals)))
        self.rpn = RPNGraph(model.rpn_head, rpn, sizes_hw, input_hw)
        self.roi_head = CascadeRoIHeadGraph(model.roi_head, model.test_cfg.rcnn, sizes_hw, input_hw,
                                            self.rpn.nms.max_per_img)
        self.max_results = self.roi_head.nms.max_per_img

    def forward(self, images: Tensor, image_hw: Tensor) -> Results:
        """Detect.

        Args:
            images: (B, H, W, 3) uint8 RGB.
            image_hw: (B, 2) int64, height and width of the part of each canvas that holds the
                picture, at its top left; what lies beyond has no effect.

        Returns:
            boxes (B, K, 4) float32, xyxy, pixels of the canvas; scores (B, K) float32, highest
            first; labels (B, K) int64; counts (B,) int64. Zeros beyond the count.
        """
        maps = self.feature_extractor(images, image_hw)
        clip_bounds = clip_bounds_of(image_hw)
        rois, scores = self.rpn(maps, clip_bounds)
        results: Results = self.roi_head(maps, rois, scores > INVALID_SCORE, clip_bounds)
        return results
