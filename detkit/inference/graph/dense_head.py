"""Single-stage detectors as one module of tensors in and tensors out.

Legend: B images; P priors of a level, which are anchors or points; C classes; N candidates over
all levels; K results at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import ExportError
from detkit.inference.graph.anchors import lay_priors
from detkit.inference.graph.batched_nms import NOTHING, Select, iou_threshold, take
from detkit.inference.graph.box_coder import decoder_of, limits_of
from detkit.inference.graph.feature_extractor import Pyramid
from detkit.inference.graph.results import Results, results_of

# Of these methods mmdet's own base class must be the author: what they do is done here.
DONE_HERE = ("predict", "predict_by_feat", "_predict_by_feat_single", "_bbox_post_process")


class DenseBoxes(nn.Module):
    """mmdet's ``BaseDenseHead.predict``, with priors as constants and results of fixed size.

    Args:
        head: the dense head, whose layers are shared.
        cfg: the model's ``test_cfg``.
        sizes_hw: height and width of each level in cells.
        canvas_hw: height and width of the canvas in pixels.

    Raises:
        ExportError: a head that finds its boxes in another way, or parts that a static graph does
            not know.
    """

    classes: Tensor

    def __init__(
        self,
        head: Any,
        cfg: Mapping[str, Any],
        sizes_hw: Sequence[tuple[int, int]],
        canvas_hw: tuple[int, int],
    ) -> None:
        super().__init__()
        _check(head, cfg)
        self.head = head
        self.decode = decoder_of(head.bbox_coder)
        self._softmax = not head.use_sigmoid_cls
        self._classes = int(head.num_classes)
        self._threshold = float(cfg.get("score_thr", 0))
        self._min_size = float(cfg.get("min_bbox_size", -1))
        self._priors = lay_priors(self, head.prior_generator, sizes_hw)
        before = int(cfg.get("nms_pre", -1))
        scores = [len(priors) * self._classes for priors in self._level_priors()]
        self._most = [min(count, before) if before > 0 else count for count in scores]
        most = int(cfg.get("max_per_img", -1))
        most = min(most, sum(self._most)) if most > 0 else sum(self._most)
        self.select = Select(iou_threshold(cfg.get("nms"), "test_cfg"), most, canvas_hw,
                             self._classes)

    def _level_priors(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._priors]

    def forward(self, maps: Sequence[Tensor], limits: Tensor) -> Results:
        """Objects in the picture.

        Args:
            maps: of the levels, (B, C, h, w) each.
            limits: (B, 1, 4) float32, from ``boxes.limits_of``.
        """
        outputs = self.head(tuple(maps))
        found = [
            self._of_level(level, [output[level] for output in outputs], limits)
            for level in range(len(self._priors))
        ]
        boxes, scores, labels = (torch.cat(parts, dim=1) for parts in zip(*found))
        if self._min_size >= 0:
            large = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
            scores = torch.where(large, scores, NOTHING)
        best, chosen = self.select(boxes, scores, labels)
        return results_of(boxes, labels, best, chosen)

    def _of_level(
        self, level: int, outputs: Sequence[Tensor], limits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, N, 4), scores (B, N) and labels (B, N) of a level's likeliest."""
        # channels first to priors first: (B, p * k, h, w) -> (B, h * w * p, k)
        batch = outputs[0].shape[0]
        logits, moves, *factors = (output.permute(0, 2, 3, 1).float() for output in outputs)
        if self._softmax:
            likely = logits.reshape(batch, -1, self._classes + 1).softmax(-1)[..., :-1].flatten(1)
        else:
            likely = logits.flatten(1)
        likely, places = torch.topk(likely, self._most[level], dim=1)
        # The sigmoid keeps the order; taking it afterwards is less to do.
        scores = likely if self._softmax else likely.sigmoid()
        real = scores > self._threshold
        rows = places.div(self._classes, rounding_mode="floor")
        if factors:
            scores = scores * torch.gather(factors[0].flatten(1).sigmoid(), 1, rows)
        moves = take(moves.reshape(batch, -1, 4), rows)
        boxes = self.decode(self._level_priors()[level][rows], moves, limits)
        return boxes, torch.where(real, scores, NOTHING), places % self._classes


class SingleStageGraph(nn.Module):
    """A single-stage detector without a loop over images or a shape that the picture decides.

    It shares the detector's weights. Only inside the suppression a number of boxes depends on
    what is seen.

    Args:
        model: mmdet's ``SingleStageDetector``, in eval mode.
        canvas_hw: height and width in pixels of what it will be given, multiples of the model's
            ``pad_size_divisor``.

    Raises:
        ExportError: a part of the model has no static form.
    """

    def __init__(self, model: Any, canvas_hw: tuple[int, int]) -> None:
        super().__init__()
        self.pyramid = Pyramid(model, canvas_hw)
        self.boxes = DenseBoxes(model.bbox_head, dict(model.test_cfg or {}),
                                self.pyramid.sizes_hw, canvas_hw)
        self.max_results = self.boxes.select.most

    def forward(self, images: Tensor, valid_hw: Tensor) -> Results:
        """Detect: (B, H, W, 3) uint8 RGB and (B, 2) int64 to results, as `TwoStageGraph` does."""
        results: Results = self.boxes(self.pyramid(images, valid_hw), limits_of(valid_hw))
        return results


def _check(head: Any, cfg: Mapping[str, Any]) -> None:
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    kind = type(head)
    if not isinstance(head, BaseDenseHead) or any(
        getattr(kind, name) is not getattr(BaseDenseHead, name) for name in DONE_HERE
    ):
        raise ExportError("the model's bbox_head", got=kind.__name__,
                          expected="one that finds boxes as mmdet's BaseDenseHead does, such as "
                          "RetinaHead, EfficientDetHead, FCOSHead, ATSSHead or RTMDetHead")
    if getattr(head.loss_cls, "custom_cls_channels", False):
        raise ExportError("the bbox_head's loss_cls", got=type(head.loss_cls).__name__,
                          expected="one with sigmoid or softmax scores")
    if float(cfg.get("min_bbox_size", -1)) > 0:
        # mmdet measures it in pixels of the picture as it came, which the graph does not know.
        raise ExportError("test_cfg.min_bbox_size", got=cfg["min_bbox_size"], expected="0 or less")
