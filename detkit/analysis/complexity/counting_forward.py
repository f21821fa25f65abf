"""One image through a model for counting: no data, no NMS, a fixed number of proposals."""

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

# mmdet's usual numbers, for a config that gives none.
PROPOSALS, DETECTIONS = 1000, 100


@dataclass(frozen=True)
class Regions:
    """How many regions of an image a two-stage model looks at.

    Args:
        proposals: what the RoI heads refine and classify.
        detections: those of them that a mask is made for.
    """

    proposals: int
    detections: int


def regions_of(model: Any) -> Regions | None:
    """What ``test_cfg`` of a two-stage model says; None for other models.

    Raises:
        ConfigError: a number in it is none.
    """
    if not isinstance(model, TwoStageDetector) or not model.with_roi_head:
        return None
    proposals = getattr(model.rpn_head, "num_proposals", None) if model.with_rpn else None
    if not isinstance(proposals, int):
        proposals = _at_most(model, "rpn", PROPOSALS)
    return Regions(proposals, _at_most(model, "rcnn", DETECTIONS))


def _at_most(model: Any, stage: str, otherwise: int) -> int:
    number = ((model.test_cfg or {}).get(stage) or {}).get("max_per_img", otherwise)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigError(f"model.test_cfg.{stage}.max_per_img", got=repr(number),
                          expected="a whole number above 0")
    return number


def forward_once(model: Any, image: Tensor, regions: int | None) -> None:
    """Run everything of ``model`` whose size does not hang on what is in the image.

    Args:
        model: a classifier, or a detector of mmdet's kind, in eval mode, on the CPU.
        image: (1, 3, H, W) float32, normalised; of a FakeTensor shapes alone are worked out.
        regions: how many the RoI heads look at; None for a model without them.

    Raises:
        Exception: whatever a model raises that cannot run so; some cannot on shapes alone.
    """
    if getattr(model, "task", None) == CLASSIFICATION:
        model(image, None, mode="tensor")
        return
    sample = _sample(image)
    if regions is None:
        model(image, [sample], mode="tensor")
        return
    features = model.extract_feat(image)
    proposed = InstanceData(bboxes=_spread(regions, image))
    if model.with_rpn:
        proposed = _propose(model.rpn_head, features, sample, proposed)
    if getattr(model, "semantic_head", None) is not None:
        model.semantic_head(features)
    if isinstance(image, FakeTensor):
        for part in model.roi_head.modules():
            if type(part) is SingleRoIExtractor:
                _give_shapes_only(part)
    # As many as images come out of the backbone: TridentNet's branches make three of one.
    images = len(features[0])
    model.roi_head(features, [proposed] * images, [sample] * images)


def _sample(image: Tensor) -> DetDataSample:
    size = tuple(image.shape[-2:])
    sample = DetDataSample(metainfo={
        "img_id": 0, "img_shape": size, "ori_shape": size, "pad_shape": size,
        "batch_input_shape": size, "scale_factor": (1.0, 1.0), "flip": False,
    })
    # Some forwards ask for the truth, and use none of it.
    sample.gt_instances = InstanceData(
        bboxes=image.new_zeros(0, 4), labels=image.new_zeros(0, dtype=torch.int64))
    return sample


def _propose(head: Any, features: Any, sample: DetDataSample, proposed: InstanceData) -> Any:
    """Run the RPN; ``proposed`` as they are, unless it makes what only it can make."""
    if type(head).forward is not nn.Module.forward and head(features) is not None:
        return proposed
    # Without a forward of its own (Cascade RPN, Sparse R-CNN), all it does hangs in predict.
    found = head.predict(features, [sample], rescale=False)[0]
    return found if "features" in found else proposed


def _spread(number: int, image: Tensor) -> Tensor:
    """(number, 4) xyxy, pixels: boxes of all scales over the whole image, always the same."""
    height, width = image.shape[-2:]
    place = torch.arange(number, dtype=torch.float32, device=image.device)
    share = (0.05, 0.1, 0.2, 0.4, 0.8)
    size = torch.tensor(share, device="cpu").repeat(-(-number // len(share)))[:number]
    size = size.to(image.device)
    # The golden ratio's multiples are spread evenly whatever their number is.
    left = (place * 0.618034) % 1 * (1 - size) * width
    top = (place / number) * (1 - size) * height
    return torch.stack([left, top, left + size * width, top + size * height], 1)


def _give_shapes_only(extractor: Any) -> None:
    """Which level a region is taken from is a question of values, and there are none."""
    size = extractor.roi_layers[0].output_size
    pooled = size if isinstance(size, (tuple, list)) else (size, size)

    def forward(features: Any, rois: Tensor, roi_scale_factor: Any = None) -> Tensor:
        shape: Tensor = features[0].new_empty(len(rois), extractor.out_channels, *pooled)
        return shape

    if any(True for _ in extractor.parameters()):
        raise NotImplementedError("a RoI layer with weights must run")
    extractor.forward = forward
