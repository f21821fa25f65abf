"""Models that cannot be converted raise a one-line error that names the component."""

from typing import Any

import pytest
import torch
from thumbnails import PREPROCESSOR, build, single_stage, two_stage

from detkit.errors import ExportError
from detkit.inference.graph.build import build_static_graph


def with_changes(config: dict[str, Any], key: str, **values: Any) -> dict[str, Any]:
    *path, last = key.split(".")
    config = parent = dict(config)
    for key in path:
        parent[key] = dict(parent[key])
        parent = parent[key]
    parent[last] = dict(parent[last], **values)
    return config


SOFT = dict(type="soft_nms", iou_threshold=0.5)
CASES = {
    "soft_nms": (with_changes(two_stage(), "test_cfg.rcnn", nms=SOFT), "test_cfg.rcnn.nms"),
    "soft_nms_of_proposals": (two_stage(nms=SOFT), "test_cfg.rpn.nms"),
    "double_head": (
        with_changes(
            two_stage(cascade=False), "roi_head", type="DoubleHeadRoIHead", reg_roi_scale_factor=1.3
        ),
        "roi_head",
    ),
    "sum_of_levels": (
        with_changes(
            two_stage(cascade=False),
            "roi_head",
            bbox_roi_extractor=dict(
                type="GenericRoIExtractor",
                aggregation="sum",
                out_channels=16,
                featmap_strides=[4, 8, 16, 32],
                roi_layer=dict(type="RoIAlign", output_size=5),
            ),
        ),
        "bbox_roi_extractor",
    ),
    "roi_pool": (
        with_changes(
            two_stage(cascade=False),
            "roi_head.bbox_roi_extractor",
            roi_layer=dict(type="RoIPool", output_size=5),
        ),
        "roi_layer",
    ),
    "boxes_not_clipped": (
        with_changes(
            single_stage("rtmdet"),
            "bbox_head",
            bbox_coder=dict(type="DistancePointBBoxCoder", clip_border=False),
        ),
        "clip_border",
    ),
    "min_bbox_size": (single_stage("retina", min_bbox_size=5), "min_bbox_size"),
    "other_head": (
        with_changes(single_stage("atss"), "bbox_head", type="GFLHead", reg_max=16),
        "bbox_head",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_unsupported_component_is_named(case: str) -> None:
    config, message = CASES[case]
    model = build(config, settled=False)
    with pytest.raises(ExportError, match=message.replace(".", r"\.")) as error:
        build_static_graph(model, (64, 96))
    assert "\n" not in str(error.value)


def test_unsupported_model_raises_export_error() -> None:
    model: Any = torch.nn.Linear(1, 1)
    model.data_preprocessor = torch.nn.Identity()
    with pytest.raises(ExportError, match="to a static graph: got Linear"):
        build_static_graph(model, (64, 64))


def test_input_size_must_be_multiple_of_divisor() -> None:
    assert PREPROCESSOR["pad_size_divisor"] == 32
    with pytest.raises(ExportError, match="got 64x50, expected height x width in multiples of 32"):
        build_static_graph(build(two_stage(), settled=False), (64, 50))
