"""Build the static graph of a trained detector; the entry point of this package."""

from __future__ import annotations

from typing import Any

from torch import nn

from detkit.errors import ExportError
from detkit.inference.graph.model_copy import copy_sharing_weights


def build_static_graph(
    model: nn.Module, input_hw: tuple[int, int], max_proposals: int | None = None
) -> nn.Module:
    """A module of tensors in and tensors out with the detections of mmdet's ``predict``.

    It shares the model's weights. ``forward(images, valid_hw)`` takes letterboxed images (B, H, W,
    3) uint8 RGB and the height and width (B, 2) int64 of the image at the top left of each. It
    returns boxes (B, K, 4) float32 in pixels of the input, scores (B, K), labels (B, K) int64 and
    counts (B,) int64. K is the config's ``max_per_img``.

    Args:
        model: the detector, in eval mode. Thresholds and limits are those of its ``test_cfg``.
        input_hw: height and width of the input in pixels; each a multiple of the model's
            ``pad_size_divisor``.
        max_proposals: maximum number of RPN proposals passed to the RoI head, those of the highest
            scores; None for the config's. Fewer are faster; the AP check of an export shows the
            loss.

    Raises:
        ExportError: the model or one of its components is not supported, or the input size does not
            fit.
    """
    from detkit.inference.graph.dense_head import SingleStageGraph
    from detkit.inference.graph.two_stage import TwoStageGraph

    detector: Any = model
    divisor = int(getattr(detector.data_preprocessor, "pad_size_divisor", 1))
    if min(input_hw) < 1 or any(side % divisor for side in input_hw):
        raise ExportError("the input size", got=f"{input_hw[0]}x{input_hw[1]}",
                          expected=f"height x width in multiples of {divisor}")
    num_stages = _num_stages(detector)
    model_copy = copy_sharing_weights(detector)
    if num_stages == 2:
        graph: nn.Module = TwoStageGraph(model_copy, input_hw, max_proposals)
    else:
        graph = SingleStageGraph(model_copy, input_hw)
    # Constants are created on the CPU, whatever the device of the weights.
    return graph.to(next(detector.parameters()).device).eval()


def _num_stages(detector: Any) -> int:
    """1 for a single-stage detector, 2 for a two-stage one.

    Raises:
        ExportError: it is neither.
    """
    from mmdet.models.detectors import SingleStageDetector, TwoStageDetector

    for num_stages, base in ((2, TwoStageDetector), (1, SingleStageDetector)):
        methods = (getattr(type(detector), name, None) for name in ("predict", "extract_feat"))
        if isinstance(detector, base) and list(methods) == [base.predict, base.extract_feat]:
            if num_stages == 1 or (detector.with_rpn and detector.with_bbox):
                return num_stages
    raise ExportError("the model cannot be converted to a static graph",
                      got=type(detector).__name__,
                      expected="Faster or Cascade R-CNN, or a single-stage detector such as "
                      "RetinaNet, EfficientDet, FCOS, ATSS or RTMDet",
                      hint="use --engine mmdet")
