"""A trained detector's static graph: the one door to this folder."""

from __future__ import annotations

from typing import Any

from torch import nn

from detkit.errors import ExportError
from detkit.inference.graph.model_copy import copy_sharing_weights


def build_static_graph(
    model: nn.Module, input_hw: tuple[int, int], max_proposals: int | None = None
) -> nn.Module:
    """One module of tensors in and tensors out that finds what mmdet's ``predict`` finds.

    It shares the model's weights. ``forward(images, valid_hw)`` takes (B, H, W, 3) uint8 RGB
    canvases and the (B, 2) int64 height and width of the picture at the top left of each, and
    gives boxes (B, K, 4) float32 in pixels of the canvas, scores (B, K), labels (B, K) int64 and
    counts (B,) int64: K is the config's ``max_per_img``.

    Args:
        model: the detector, in eval mode. Its ``test_cfg`` decides thresholds and numbers.
        input_hw: height and width of the canvas in pixels; each a multiple of the model's
            ``pad_size_divisor``.
        max_proposals: of a two-stage detector, at most so many proposals go on to the second
            stage, the likeliest; None for as many as the config says. Fewer are quicker, and
            what that costs in AP an export's gate shows.

    Raises:
        ExportError: the model, or a part of it, has no static form; or the canvas does not fit.
    """
    from detkit.inference.graph.dense_head import SingleStageGraph
    from detkit.inference.graph.two_stage import TwoStageGraph

    detector: Any = model
    divisor = int(getattr(detector.data_preprocessor, "pad_size_divisor", 1))
    if min(input_hw) < 1 or any(side % divisor for side in input_hw):
        raise ExportError("the canvas", got=f"{input_hw[0]}x{input_hw[1]}",
                          expected=f"height x width in multiples of {divisor}")
    num_stages = _num_stages(detector)
    model_copy = copy_sharing_weights(detector)
    if num_stages == 2:
        graph: nn.Module = TwoStageGraph(model_copy, input_hw, max_proposals)
    else:
        graph = SingleStageGraph(model_copy, input_hw)
    # Constants are made on the CPU, wherever the weights lie.
    return graph.to(next(detector.parameters()).device).eval()


def _num_stages(detector: Any) -> int:
    """Whether a detector looks at its proposals again: 2, or not: 1.

    Raises:
        ExportError: it does something else.
    """
    from mmdet.models.detectors import SingleStageDetector, TwoStageDetector

    for num_stages, base in ((2, TwoStageDetector), (1, SingleStageDetector)):
        methods = (getattr(type(detector), name, None) for name in ("predict", "extract_feat"))
        if isinstance(detector, base) and list(methods) == [base.predict, base.extract_feat]:
            if num_stages == 1 or (detector.with_rpn and detector.with_bbox):
                return num_stages
    raise ExportError("the model has no static form", got=type(detector).__name__,
                      expected="Faster or Cascade R-CNN, or a single-stage detector such as "
                      "RetinaNet, EfficientDet, FCOS, ATSS or RTMDet",
                      hint="use --engine mmdet")
