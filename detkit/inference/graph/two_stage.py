"""Faster and Cascade R-CNN as a static graph."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from detkit.inference.graph.batched_nms import INVALID_SCORE
from detkit.inference.graph.box_coder import get_clip_bounds
from detkit.inference.graph.feature_extractor import FeatureExtractor
from detkit.inference.graph.results import Results
from detkit.inference.graph.roi_heads import CascadeRoIHeadGraph
from detkit.inference.graph.rpn import RPNGraph


class TwoStageGraph(nn.Module):
    """A two-stage detector without loops over images or shapes that depend on their content.

    It shares the detector's weights. Only inside NMS the number of boxes depends on the content.

    Args:
        model: mmdet's ``TwoStageDetector``, Faster or Cascade R-CNN, in eval mode.
        input_hw: height and width of the input in pixels, multiples of the model's
            ``pad_size_divisor``.
        max_proposals: maximum number of RPN proposals passed to the RoI head; None for the
            config's ``test_cfg.rpn.max_per_img``.

    Raises:
        ExportError: a component of the model is not supported.

    Shapes: B images; H x W the input; at most K results per image.
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

    # The arguments have the names of the inputs in exported files.
    def forward(self, images: Tensor, valid_hw: Tensor) -> Results:
        """Detect objects.

        Args:
            images: (B, H, W, 3) uint8 RGB.
            valid_hw: (B, 2) int64, height and width of the image at the top left of each input; the
                pixels outside have no effect.

        Returns:
            boxes (B, K, 4) float32, xyxy, pixels of the input; scores (B, K) float32, highest
            first; labels (B, K) int64; counts (B,) int64, the number of valid results. The rest is
            zero.
        """
        maps = self.feature_extractor(images, valid_hw)
        clip_bounds = get_clip_bounds(valid_hw)
        rois, scores = self.rpn(maps, clip_bounds)
        results: Results = self.roi_head(maps, rois, scores > INVALID_SCORE, clip_bounds)
        return results
