"""Standard and cascade RoI heads as a part of a static graph.

Shapes: B images; R proposals per image; C classes; at most K results per image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from detkit.errors import ExportError
from detkit.inference.graph.batched_nms import INVALID_SCORE, build_class_nms, gather_rows
from detkit.inference.graph.box_coder import BoxDecoder
from detkit.inference.graph.results import Results, pack_results
from detkit.inference.graph.roi_extractor import RoIExtractorGraph


class RoIStage(nn.Module):
    """One stage of a RoI head: class logits and box deltas of RoIs.

    Args:
        extractor: the stage's ``SingleRoIExtractor``.
        head: the stage's box head, shared.
        sizes_hw: height and width of each level that the extractor takes, in cells.
        input_hw: height and width of the input in pixels.

    Raises:
        ExportError: a component is not supported.
    """

    def __init__(
        self,
        extractor: Any,
        head: Any,
        sizes_hw: Sequence[tuple[int, int]],
        input_hw: tuple[int, int],
    ) -> None:
        super().__init__()
        if not _is_supported(head):
            raise ExportError("the roi_head's bbox_head", got=type(head).__name__,
                              expected="one with softmax scores and box deltas")
        self.features = RoIExtractorGraph(extractor, sizes_hw, input_hw)
        self.head = head
        self._fc_only = _is_fc_only(head)
        self.decode = BoxDecoder(head.bbox_coder)
        self.num_reg_classes = 1 if head.reg_class_agnostic else int(head.num_classes)

    def forward(self, packed: Sequence[Tensor], rois: Tensor) -> tuple[Tensor, Tensor]:
        """Predict logits (B, R, C + 1) and deltas (B, R, num_reg_classes, 4) of RoIs (B, R, 4).

        Args:
            packed: the feature maps, from ``RoIExtractorGraph.pack_levels``.
            rois: xyxy, pixels of the input.
        """
        logits, deltas = self._predict(self.features(packed, rois))
        batch, num_rois = rois.shape[0], rois.shape[1]
        return (
            logits.float().reshape(batch, num_rois, -1),
            deltas.float().reshape(batch, num_rois, self.num_reg_classes, 4),
        )

    def _predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The head's logits and deltas of features (B * R, C, P, P)."""
        head: Any = self.head
        if not self._fc_only:
            logits, deltas = head(features)
            return logits, deltas
        # Features are in channels-last memory order. Transposing the weights of the first layer
        # instead of the features is done once where the graph is compiled.
        first = head.shared_fcs[0]
        weight = first.weight.view(len(first.weight), features.shape[1], -1)
        weight = weight.transpose(1, 2).flatten(1)
        flat = features.permute(0, 2, 3, 1).flatten(1)
        hidden = functional.linear(flat, weight, first.bias).relu()
        for layer in head.shared_fcs[1:]:
            hidden = layer(hidden).relu()
        return head.fc_cls(hidden), head.fc_reg(hidden)


def _is_fc_only(head: Any) -> bool:
    """Whether a box head has only linear layers, all of them shared by its two outputs."""
    if not type(head).__name__.startswith("Shared") or head.with_avg_pool:
        return False
    branches = ("shared_convs", "cls_convs", "cls_fcs", "reg_convs", "reg_fcs")
    no_extra_layers = all(len(getattr(head, name, ())) == 0 for name in branches)
    layers = [*getattr(head, "shared_fcs", ()), getattr(head, "fc_cls", None),
              getattr(head, "fc_reg", None)]
    return no_extra_layers and len(head.shared_fcs) > 0 and all(
        type(item) is nn.Linear for item in layers)


class CascadeRoIHeadGraph(nn.Module):
    """mmdet's box prediction of a standard or cascade RoI head, with outputs of fixed size.

    Args:
        roi_head: the RoI head; its mask branch is ignored.
        cfg: the model's ``test_cfg.rcnn``.
        sizes_hw: height and width of each pyramid level, in cells.
        input_hw: height and width of the input in pixels.
        proposals: R, the number of proposals per image.

    Raises:
        ExportError: the RoI head or one of its components is not supported.

    Source: Cascade R-CNN (arXiv 1712.00726); the stages' logits are averaged as mmdet does.
    """

    def __init__(
        self,
        roi_head: Any,
        cfg: Any,
        sizes_hw: Sequence[tuple[int, int]],
        input_hw: tuple[int, int],
        proposals: int,
    ) -> None:
        super().__init__()
        cascade = _is_cascade(roi_head)
        heads = list(roi_head.bbox_head) if cascade else [roi_head.bbox_head]
        extractors = list(roi_head.bbox_roi_extractor) if cascade else [
            roi_head.bbox_roi_extractor]
        level_sizes = list(sizes_hw)[: extractors[0].num_inputs]
        self.stages = nn.ModuleList(
            RoIStage(extractor, head, level_sizes, input_hw)
            for extractor, head in zip(extractors, heads)
        )
        if any(item.num_inputs != len(level_sizes) for item in extractors) or len(
            {stage.features.is_packed for stage in self.stages}  # type: ignore[union-attr]
        ) > 1:
            raise ExportError("the roi_head's bbox_roi_extractor", got="stages that differ",
                              expected="the same levels and RoIAlign in all stages")
        num_classes = int(heads[-1].num_classes)
        self._num_classes = num_classes
        self._threshold = float(cfg.get("score_thr", 0.0))
        # A RoI's scores sum to at most 1, which limits how many can be above the threshold.
        max_labels_per_roi = math.ceil(1 / self._threshold) if self._threshold > 0 else num_classes
        self._candidates = proposals * min(num_classes, max_labels_per_roi)
        max_per_img = int(cfg.get("max_per_img", -1))
        max_per_img = self._candidates if max_per_img <= 0 else min(max_per_img, self._candidates)
        self.nms = build_class_nms(cfg.get("nms"), "test_cfg.rcnn", max_per_img, input_hw,
                                   num_classes)

    def forward(
        self, maps: Sequence[Tensor], rois: Tensor, valid: Tensor, clip_bounds: Tensor
    ) -> Results:
        """Detect objects.

        Args:
            maps: feature maps of the levels, (B, C, h, w) each.
            rois: (B, R, 4) float32, xyxy, pixels of the input.
            valid: (B, R) bool; False for padding.
            clip_bounds: (B, 1, 4) float32, from ``get_clip_bounds``.

        Returns:
            boxes (B, K, 4) float32, scores (B, K) float32, labels (B, K) int64, counts (B,)
            int64; zeros beyond the count.
        """
        first: Any = self.stages[0]
        packed = first.features.pack_levels(maps)
        logits, deltas = first(packed, rois)
        total, stage = logits, first
        for next_stage in list(self.stages)[1:]:
            rois = stage.decode(rois, _select_top_class_deltas(deltas, logits), clip_bounds)
            logits, deltas = next_stage(packed, rois)
            total, stage = total + logits, next_stage
        scores = (total / len(self.stages)).softmax(-1)[..., :-1]
        boxes = stage.decode(rois.unsqueeze(2), deltas, clip_bounds.unsqueeze(1))
        return self._results(boxes, torch.where(valid.unsqueeze(-1), scores, INVALID_SCORE))

    def _results(self, boxes: Tensor, scores: Tensor) -> Results:
        """Class-wise NMS of boxes (B, R, num_reg_classes, 4) with scores (B, R, C)."""
        flat = torch.where(scores > self._threshold, scores, INVALID_SCORE).flatten(1)
        topk_scores, topk_indices = torch.topk(flat, self._candidates, dim=1)
        labels = topk_indices % self._num_classes
        rows = topk_indices if boxes.shape[2] > 1 else topk_indices.div(
            self._num_classes, rounding_mode="floor")
        candidates = gather_rows(boxes.flatten(1, 2), rows)
        best, keep_indices = self.nms(candidates, topk_scores, labels)
        return pack_results(candidates, labels, best, keep_indices)


def _select_top_class_deltas(deltas: Tensor, logits: Tensor) -> Tensor:
    """The deltas (B, R, 4) of the top-scoring class, from (B, R, num_reg_classes, 4)."""
    if deltas.shape[2] == 1:
        return deltas[:, :, 0]
    best = logits[..., :-1].argmax(dim=-1)
    return torch.gather(deltas, 2, best[..., None, None].expand(-1, -1, 1, 4)).squeeze(2)


def _is_cascade(roi_head: Any) -> bool:
    """Whether a RoI head is a cascade of several stages.

    Raises:
        ExportError: it does not predict as mmdet's standard and cascade heads do.
    """
    from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead

    for cascade, base in ((False, StandardRoIHead), (True, CascadeRoIHead)):
        names = ("predict", "predict_bbox", "_bbox_forward") + ("_refine_roi",) * cascade
        if isinstance(roi_head, base) and not roi_head.with_shared_head and all(
            getattr(type(roi_head), name) is getattr(base, name) for name in names
        ):
            return cascade
    raise ExportError("the model's roi_head", got=type(roi_head).__name__,
                      expected="one that predicts as StandardRoIHead or CascadeRoIHead, "
                      "without a shared head")


def _is_supported(head: Any) -> bool:
    """Whether a box head decodes its logits and deltas as mmdet's ``BBoxHead`` does."""
    from mmdet.models.roi_heads import BBoxHead

    names = ("predict_by_feat", "_predict_by_feat_single", "regress_by_class")
    return isinstance(head, BBoxHead) and not head.custom_cls_channels and all(
        getattr(type(head), name) is getattr(BBoxHead, name) for name in names
    ) and bool(head.with_cls and head.with_reg)
