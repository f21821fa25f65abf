"""Single-stage detectors as a static graph.

Shapes: B images; P priors (anchors or points) per level; C classes; N candidates of all levels; at
most K results per image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import ExportError
from detkit.inference.graph.anchors import register_anchors
from detkit.inference.graph.batched_nms import INVALID_SCORE, build_class_nms, gather_rows
from detkit.inference.graph.box_coder import build_box_decoder, get_clip_bounds
from detkit.inference.graph.feature_extractor import FeatureExtractor
from detkit.inference.graph.results import Results, pack_results

# Methods of mmdet's base class that are reimplemented here; a subclass must not override them.
REIMPLEMENTED_METHODS = ("predict", "predict_by_feat", "_predict_by_feat_single",
                         "_bbox_post_process")


class DenseHeadGraph(nn.Module):
    """mmdet's ``BaseDenseHead.predict`` with constant priors and outputs of fixed size.

    Args:
        head: the dense head; its layers are shared.
        cfg: the model's ``test_cfg``.
        sizes_hw: height and width of each level in cells.
        input_hw: height and width of the input in pixels.

    Raises:
        ExportError: the head predicts in another way, or one of its components is not supported.
    """

    classes: Tensor

    def __init__(
        self,
        head: Any,
        cfg: Mapping[str, Any],
        sizes_hw: Sequence[tuple[int, int]],
        input_hw: tuple[int, int],
    ) -> None:
        super().__init__()
        _check_head(head, cfg)
        self.head = head
        self.decode = build_box_decoder(head.bbox_coder)
        self._softmax = not head.use_sigmoid_cls
        self._num_classes = int(head.num_classes)
        self._threshold = float(cfg.get("score_thr", 0))
        self._min_size = float(cfg.get("min_bbox_size", -1))
        self._priors = register_anchors(self, head.prior_generator, sizes_hw)
        nms_pre = int(cfg.get("nms_pre", -1))
        scores = [len(priors) * self._num_classes for priors in self._level_priors()]
        self._topk_per_level = [min(count, nms_pre) if nms_pre > 0 else count for count in scores]
        max_per_img = int(cfg.get("max_per_img", -1))
        max_per_img = min(max_per_img, sum(self._topk_per_level)) if max_per_img > 0 else sum(
            self._topk_per_level)
        self.nms = build_class_nms(cfg.get("nms"), "test_cfg", max_per_img, input_hw,
                                   self._num_classes)

    def _level_priors(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._priors]

    def forward(self, maps: Sequence[Tensor], clip_bounds: Tensor) -> Results:
        """Detect objects.

        Args:
            maps: feature maps of the levels, (B, C, h, w) each.
            clip_bounds: (B, 1, 4) float32, from ``get_clip_bounds``.
        """
        outputs = self.head(tuple(maps))
        level_results = [
            self._predict_level(level, [output[level] for output in outputs], clip_bounds)
            for level in range(len(self._priors))
        ]
        boxes, scores, labels = (torch.cat(level_outputs, dim=1)
                                 for level_outputs in zip(*level_results))
        if self._min_size >= 0:
            large_enough = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
            scores = torch.where(large_enough, scores, INVALID_SCORE)
        best, keep_indices = self.nms(boxes, scores, labels)
        return pack_results(boxes, labels, best, keep_indices)

    def _predict_level(
        self, level: int, outputs: Sequence[Tensor], clip_bounds: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, N, 4), scores (B, N) and labels (B, N) of a level's top candidates."""
        # channels first to priors first: (B, p * k, h, w) -> (B, h * w * p, k)
        batch = outputs[0].shape[0]
        logits, deltas, *score_factors = (output.permute(0, 2, 3, 1).float() for output in outputs)
        if self._softmax:
            class_scores = logits.reshape(batch, -1,
                                          self._num_classes + 1).softmax(-1)[..., :-1].flatten(1)
        else:
            class_scores = logits.flatten(1)
        class_scores, topk_indices = torch.topk(class_scores, self._topk_per_level[level], dim=1)
        # The sigmoid is monotonic, so it is applied after topk, to fewer values.
        scores = class_scores if self._softmax else class_scores.sigmoid()
        valid = scores > self._threshold
        rows = topk_indices.div(self._num_classes, rounding_mode="floor")
        if score_factors:
            scores = scores * torch.gather(score_factors[0].flatten(1).sigmoid(), 1, rows)
        deltas = gather_rows(deltas.reshape(batch, -1, 4), rows)
        boxes = self.decode(self._level_priors()[level][rows], deltas, clip_bounds)
        return boxes, torch.where(valid, scores, INVALID_SCORE), topk_indices % self._num_classes


class SingleStageGraph(nn.Module):
    """A single-stage detector without loops over images or shapes that depend on their content.

    It shares the detector's weights. Only inside NMS the number of boxes depends on the content.

    Args:
        model: mmdet's ``SingleStageDetector``, in eval mode.
        input_hw: height and width of the input in pixels, multiples of the model's
            ``pad_size_divisor``.

    Raises:
        ExportError: a component of the model is not supported.
    """

    def __init__(self, model: Any, input_hw: tuple[int, int]) -> None:
        super().__init__()
        self.feature_extractor = FeatureExtractor(model, input_hw)
        self.bbox_head = DenseHeadGraph(model.bbox_head, dict(model.test_cfg or {}),
                                        self.feature_extractor.sizes_hw, input_hw)
        self.max_results = self.bbox_head.nms.max_per_img

    def forward(self, images: Tensor, valid_hw: Tensor) -> Results:
        """Detect objects; arguments and results as of `TwoStageGraph`."""
        results: Results = self.bbox_head(self.feature_extractor(images, valid_hw),
                                          get_clip_bounds(valid_hw))
        return results


def _check_head(head: Any, cfg: Mapping[str, Any]) -> None:
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    head_type = type(head)
    if not isinstance(head, BaseDenseHead) or any(
            getattr(head_type, name) is not getattr(BaseDenseHead, name)
            for name in REIMPLEMENTED_METHODS):
        raise ExportError("the model's bbox_head", got=head_type.__name__,
                          expected="one that predicts as mmdet's BaseDenseHead does, such as "
                          "RetinaHead, EfficientDetHead, FCOSHead, ATSSHead or RTMDetHead")
    if getattr(head.loss_cls, "custom_cls_channels", False):
        raise ExportError("the bbox_head's loss_cls", got=type(head.loss_cls).__name__,
                          expected="one with sigmoid or softmax scores")
    if float(cfg.get("min_bbox_size", -1)) > 0:
        # mmdet applies it in pixels of the original image, whose size the graph does not have.
        raise ExportError("test_cfg.min_bbox_size", got=cfg["min_bbox_size"], expected="0 or less")
