"""A forward pass of one image for counting: no data, no NMS, a fixed number of proposals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from detkit.config.task import CLASSIFICATION
from detkit.errors import ConfigError

# mmdet's usual values, for configs without max_per_img.
DEFAULT_PROPOSALS, DEFAULT_DETECTIONS = 1000, 100


@dataclass(frozen=True)
class RoICounts:
    """Number of RoIs that a two-stage model processes for an image.

    Args:
        proposals: RPN proposals passed to the RoI heads.
        detections: detections passed to the mask head.
    """

    proposals: int
    detections: int


def get_roi_counts(model: Any) -> RoICounts | None:
    """Get the RoI counts of a two-stage model's ``test_cfg``; None for other models.

    Raises:
        ConfigError: ``max_per_img`` is not a positive integer.
    """
    if not isinstance(model, TwoStageDetector) or not model.with_roi_head:
        return None
    proposals = getattr(model.rpn_head, "num_proposals", None) if model.with_rpn else None
    if not isinstance(proposals, int):
        proposals = _max_per_img(model, "rpn", DEFAULT_PROPOSALS)
    return RoICounts(proposals, _max_per_img(model, "rcnn", DEFAULT_DETECTIONS))


def _max_per_img(model: Any, stage: str, default: int) -> int:
    count = ((model.test_cfg or {}).get(stage) or {}).get("max_per_img", default)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"model.test_cfg.{stage}.max_per_img", got=repr(count),
                          expected="a whole number above 0")
    return count


def forward_once(model: Any, image: Tensor, num_proposals: int | None) -> None:
    """Run all modules of ``model`` whose cost does not depend on the content of the image.

    Args:
        model: a classifier, or a detector of mmdet, in eval mode, on the CPU.
        image: (1, 3, H, W) float32, normalized; may be a FakeTensor.
        num_proposals: number of proposals for the RoI heads; None for a model without them.

    Raises:
        Exception: any error of a model that cannot run so, such as with fake tensors.
    """
    if getattr(model, "task", None) == CLASSIFICATION:
        model(image, None, mode="tensor")
        return
    data_sample = _make_data_sample(image)
    if num_proposals is None:
        model(image, [data_sample], mode="tensor")
        return
    features = model.extract_feat(image)
    rpn_results = InstanceData(bboxes=_make_proposals(num_proposals, image))
    if model.with_rpn:
        rpn_results = _run_rpn(model.rpn_head, features, data_sample, rpn_results)
    if getattr(model, "semantic_head", None) is not None:
        model.semantic_head(features)
    if isinstance(image, FakeTensor):
        for module in model.roi_head.modules():
            if type(module) is SingleRoIExtractor:
                _patch_roi_extractor(module)
    # The backbone may return several maps for an image: TridentNet has three branches.
    num_images = len(features[0])
    model.roi_head(features, [rpn_results] * num_images, [data_sample] * num_images)


def _make_data_sample(image: Tensor) -> DetDataSample:
    size = tuple(image.shape[-2:])
    data_sample = DetDataSample(metainfo={
        "img_id": 0, "img_shape": size, "ori_shape": size, "pad_shape": size,
        "batch_input_shape": size, "scale_factor": (1.0, 1.0), "flip": False,
    })
    # Some forward methods require ground truth but do not use it.
    data_sample.gt_instances = InstanceData(
        bboxes=image.new_zeros(0, 4), labels=image.new_zeros(0, dtype=torch.int64))
    return data_sample


def _run_rpn(head: Any, features: Any, data_sample: DetDataSample,
             rpn_results: InstanceData) -> Any:
    """Run the RPN; return its proposals where they have features, else ``rpn_results``."""
    if type(head).forward is not nn.Module.forward and head(features) is not None:
        return rpn_results
    # RPNs without a forward method (Cascade RPN, Sparse R-CNN) run in predict.
    results = head.predict(features, [data_sample], rescale=False)[0]
    return results if "features" in results else rpn_results


def _make_proposals(count: int, image: Tensor) -> Tensor:
    """(count, 4) xyxy, pixels: deterministic boxes of several scales over the image."""
    height, width = image.shape[-2:]
    index = torch.arange(count, dtype=torch.float32, device=image.device)
    scales = (0.05, 0.1, 0.2, 0.4, 0.8)
    size = torch.tensor(scales, device="cpu").repeat(-(-count // len(scales)))[:count]
    size = size.to(image.device)
    # Multiples of the golden ratio are evenly distributed for any count.
    left = (index * 0.618034) % 1 * (1 - size) * width
    top = (index / count) * (1 - size) * height
    return torch.stack([left, top, left + size * width, top + size * height], 1)


def _patch_roi_extractor(extractor: Any) -> None:
    """Skip the assignment of RoIs to levels, which needs values that fake tensors lack."""
    size = extractor.roi_layers[0].output_size
    output_hw = size if isinstance(size, (tuple, list)) else (size, size)

    def forward(features: Any, rois: Tensor, roi_scale_factor: Any = None) -> Tensor:
        shape: Tensor = features[0].new_empty(len(rois), extractor.out_channels, *output_hw)
        return shape

    if any(True for _ in extractor.parameters()):
        raise NotImplementedError("a RoI layer with weights cannot be skipped")
    extractor.forward = forward
