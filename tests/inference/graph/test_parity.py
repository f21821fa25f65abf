"""A static graph's detections equal those of mmdet's predict, with the same weights and images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmdet
import numpy as np
import pytest
import torch
from graph_parity import assert_matches_mmdet
from mmengine.config import Config
from numpy.typing import NDArray
from thumbnails import BACKBONES, HEADS, PIPELINE, build, single_stage, two_stage

from detkit.inference.graph.build import build_static_graph

FPN = dict(type="FPN", in_channels=[8, 16, 32, 64], out_channels=16, num_outs=5)
NECKS: dict[str, dict[str, Any]] = {
    "deformable_fpn": dict(FPN, type="DeformableFPN"),
    "bifpn": dict(FPN, type="BiFPN", num_outs=5),
    "pafpn": dict(FPN, type="PAFPN"),
}
CHANNELS = {"efficientnet": (24, 40, 112, 320), "timm": (64, 128, 256, 512),
            "resnet_dcn": (16, 32, 64, 128), "resnet_dcnv2": (16, 32, 64, 128)}
DETECTORS: dict[str, dict[str, Any]] = {
    "faster": two_stage(cascade=False),
    "faster_class_boxes": two_stage(cascade=False, agnostic=False),
    "cascade": two_stage(),
    "cascade_class_boxes": two_stage(agnostic=False),
    "adaptive_samples": two_stage(roi_layer=dict(sampling_ratio=0)),
    "not_aligned": two_stage(roi_layer=dict(sampling_ratio=2, aligned=False)),
    "many_proposals": two_stage(nms_pre=1000, max_per_img=1000),
    "large_boxes_only": two_stage(min_bbox_size=24),
    # timm's features have steep gradients, and three stages would multiply rounding errors.
    **{f"{name}_backbone": two_stage(backbone, channels=CHANNELS.get(name, (8, 16, 32, 64)),
                                     cascade=name != "timm")
       for name, backbone in BACKBONES.items()},
    **{name: two_stage(neck=neck) for name, neck in NECKS.items()},
    **{name: single_stage(name) for name in HEADS},
}
# A score below min_score in one of two roundings would be missing in the other.
TAIL_NMS = dict(type="tail_nms", iou_threshold=0.5, tail=0.5, min_score=0.0)
DETECTORS["cascade_tail_nms"] = two_stage()
DETECTORS["cascade_tail_nms"]["test_cfg"]["rcnn"]["nms"] = TAIL_NMS
ReadImages = Callable[[str, int], list[NDArray[np.uint8]]]


@pytest.mark.parametrize("name", DETECTORS)
def test_graph_matches_mmdet(name: str, real_images: ReadImages) -> None:
    model = build(DETECTORS[name])
    counts = assert_matches_mmdet(model, PIPELINE, real_images("cells", 1))
    counts += assert_matches_mmdet(model, PIPELINE, real_images("photos", 2)[1:])
    # A batch of images of different shapes.
    first, second, third = real_images("chess", 3)
    counts += assert_matches_mmdet(model, PIPELINE, [
        first, np.ascontiguousarray(second[:100, :200]),
        np.ascontiguousarray(third.transpose(1, 0, 2)[:, :150]),
    ])
    assert min(counts) > 20, counts


@pytest.mark.parametrize("name", ["cascade", "retina"])
@pytest.mark.parametrize(
    "size_hw", [(1, 1), (1, 64), (300, 2), (33, 31)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_odd_image_sizes_match_mmdet(name: str, size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    assert_matches_mmdet(build(DETECTORS[name]), PIPELINE, [image])


def test_gray_image_matches_mmdet(real_images: ReadImages) -> None:
    gray_image = real_images("cells", 1)[0].mean(axis=2, keepdims=True).astype(np.uint8)
    assert assert_matches_mmdet(build(DETECTORS["cascade"]), PIPELINE,
                                [gray_image.repeat(3, axis=2)])[0] > 20


@pytest.mark.parametrize("name", ["cascade", "convnextv2_backbone", "fcos"])
def test_larger_input_than_needed_matches_mmdet_padding(name: str, real_images: ReadImages) -> None:
    model = build(DETECTORS[name])
    # mmdet pads likewise: some networks are affected by padding.
    model.data_preprocessor.pad_size_divisor = 192
    assert assert_matches_mmdet(model, PIPELINE, real_images("chess", 1))[0] > 20


@pytest.mark.parametrize("name", ["cascade", "rtmdet"])
def test_padding_pixels_have_no_effect(name: str) -> None:
    graph = build_static_graph(build(DETECTORS[name]), (96, 128))
    images = torch.randint(0, 256, (2, 96, 128, 3), dtype=torch.uint8)
    images[1, :70, :90] = images[0, :70, :90]
    with torch.inference_mode():
        boxes, scores, labels, counts = graph(images, torch.tensor([[70, 90]] * 2))
    assert counts[0] > 20 and counts[0] == counts[1]
    assert torch.equal(boxes[0], boxes[1]) and torch.equal(scores[0], scores[1])
    assert boxes[..., 2].max() <= 90 and boxes[..., 3].max() <= 70


@pytest.mark.parametrize("config", [
    two_stage(), single_stage("retina")], ids=["two_stage", "single_stage"])
def test_unreachable_score_threshold_gives_no_detections(
    config: dict[str, Any], real_images: ReadImages
) -> None:
    model = build(config)
    for cfg in (model.test_cfg, getattr(model, "roi_head", model).test_cfg):
        (cfg.get("rcnn") or cfg)["score_thr"] = 0.9999
    if not hasattr(model, "roi_head"):
        model.bbox_head.test_cfg["score_thr"] = 0.9999
    assert assert_matches_mmdet(model, PIPELINE, real_images("cells", 2)) == [0, 0]


def test_max_per_img_keeps_highest_scores(real_images: ReadImages) -> None:
    assert assert_matches_mmdet(build(single_stage("atss", max_per_img=7)), PIPELINE,
                                real_images("cells", 2)) == [7, 7]


def test_max_proposals_matches_mmdet_with_same_limit() -> None:
    model = build(two_stage())
    graph = build_static_graph(model, (96, 128), max_proposals=3)
    model.rpn_head.test_cfg["max_per_img"] = model.test_cfg["rpn"]["max_per_img"] = 3
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    assert assert_matches_mmdet(model, PIPELINE, [image], graph)[0] > 0


def test_pipeline_with_pad_matches_mmdet(
    real_images: ReadImages,
) -> None:
    padded = [*PIPELINE[:2], dict(type="Pad", size=(160, 160),
                                  pad_val=dict(img=(114, 114, 114))), PIPELINE[2]]
    counts = assert_matches_mmdet(build(DETECTORS["rtmdet"]), padded, real_images("chess", 2))
    assert min(counts) > 20


@pytest.mark.slow
@pytest.mark.parametrize("family", [
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
    "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
    "retinanet/retinanet_r50_fpn_1x_coco.py",
])
def test_full_size_mmdet_configs_match_mmdet(
    family: str, real_images: ReadImages
) -> None:
    config = Config.fromfile(str(Path(mmdet.__file__).parent / ".mim" / "configs" / family))
    model_config = config.model.to_dict()
    model_config["backbone"]["init_cfg"] = None
    pipeline = [dict(step) for step in config.test_pipeline]
    pipeline[1]["scale"] = (320, 256)
    if "rcnn" in model_config["test_cfg"]:
        model_config["test_cfg"]["rcnn"]["score_thr"] = 0.02
    model = build(model_config)
    if model.with_mask:
        model.roi_head.mask_head = None  # masks are not compared
    assert min(assert_matches_mmdet(model, pipeline, real_images("photos", 2))) > 20
