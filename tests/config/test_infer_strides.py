"""Strides come from the backbone through the neck; a mismatch lists every option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from detkit.cli.args import parse_options
from detkit.config.infer.feature_info import get_backbone_feature_info
from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.errors import ConfigError

RPN = "model.rpn_head.anchor_generator.strides"
ROI = "model.roi_head.bbox_roi_extractor.featmap_strides"
SWIN = dict(type="SwinTransformer", arch="micro")
# Patches of 16 and of 14 pixels.
VIT = dict(type="TimmBackbone", name="test_vit", strides=None)
VIT_14 = dict(**VIT, patch_size=14)


def infer_model(backbone: dict[str, Any], neck: Any, **parts: Any) -> Any:
    """The inferred model of a config with these components and a dense head without strides."""
    head = dict(type="RPNHead", anchor_generator=dict(type="AnchorGenerator"))
    cfg = Config(dict(default_scope="detkit",
                      model=dict(backbone=backbone, neck=neck, **{"rpn_head": head, **parts})))
    infer_fields(cfg, None)
    return cfg.model


@pytest.mark.parametrize(("backbone", "neck", "expected"), [
    (SWIN, dict(type="FPN", num_outs=5), [4, 8, 16, 32, 64]),
    (SWIN, dict(type="mmdet.FPN", num_outs=5, start_level=1), [8, 16, 32, 64, 128]),
    (SWIN, dict(type="FPN", num_outs=2, start_level=1, end_level=2), [8, 16]),
    ({**SWIN, "out_indices": (1, 2, 3)}, dict(type="DeformableFPN", num_outs=4), [8, 16, 32, 64]),
    (SWIN, dict(type="BiFPN", start_level=2), [16, 32, 64, 128, 256]),
    (VIT, dict(type="SimpleFeaturePyramid"), [4, 8, 16, 32, 64]),
    (VIT, [dict(type="SimpleFeaturePyramid", scale_factors=(8, 4, 2, 1))], [2, 4, 8, 16, 32]),
    (VIT_14, dict(type="SimpleFeaturePyramid", num_outs=4), [3.5, 7, 14, 28]),
    (VIT, dict(type="FPN", num_outs=2), [16, 32]),
], ids=["FPN", "later start", "earlier end", "later levels", "BiFPN", "pyramid", "finer scales",
        "patches of 14", "FPN on one map"])
def test_strides_follow_from_backbone_and_neck(
    backbone: dict[str, Any], neck: Any, expected: list[float]
) -> None:
    model = infer_model(backbone, neck)
    assert model.rpn_head.anchor_generator.strides == expected


@pytest.mark.parametrize(("backbone", "neck"), [
    (SWIN, [dict(type="FPN", num_outs=5), dict(type="BFP")]),
    (SWIN, dict(type="FPN", num_outs=3)),
    (SWIN, dict(type="FPN", num_outs=5, start_level=4)),
    (SWIN, dict(type="BiFPN", start_level="one")),
    (VIT, dict(type="SimpleFeaturePyramid", scale_factors=(0,))),
], ids=["neck without its channels", "too few levels", "no such start",
        "start that is no number", "scale of zero"])
def test_unknown_strides_are_left_alone(backbone: dict[str, Any], neck: Any) -> None:
    assert "strides" not in infer_model(backbone, neck).rpn_head.anchor_generator


RESNET = dict(type="ResNet", depth=18, base_channels=8, stem_channels=8)
MAPPER = dict(type="ChannelMapper", out_channels=8, num_outs=5)


@pytest.mark.parametrize(("backbone", "neck", "expected", "roi"), [
    (RESNET, dict(type="FPN", out_channels=8, num_outs=5), [4, 8, 16, 32, 64], 4),
    ({**RESNET, "out_indices": (1, 2)}, dict(type="FPN", out_channels=8, num_outs=3), [8, 16, 32],
     2),
    (SWIN, MAPPER, [4, 8, 16, 32, 64], 4),
    (SWIN, [dict(type="FPN", out_channels=8, num_outs=5),
            dict(type="BFP", in_channels=8, num_levels=5)], [4, 8, 16, 32, 64], 4),
], ids=["mmdet's backbone", "two of its levels", "other neck", "two necks"])
def test_strides_that_are_not_published_are_measured(
    backbone: dict[str, Any], neck: Any, expected: list[int], roi: int
) -> None:
    extractor = dict(type="SingleRoIExtractor")
    model = infer_model(backbone, neck, roi_head=dict(bbox_roi_extractor=dict(extractor)))
    assert model.rpn_head.anchor_generator.strides == expected
    assert model.roi_head.bbox_roi_extractor.featmap_strides == expected[:roi]


def test_backbone_that_cannot_be_run_keeps_the_channels_that_it_publishes() -> None:
    class Backbone(torch.nn.Module):
        feature_channels = (8, 16)

    levels = get_backbone_feature_info(dict(type=Backbone), measure_strides=True)
    assert levels is not None and levels.channels == (8, 16) and levels.strides is None


def test_measured_strides_contradict_nothing_in_the_config() -> None:
    anchors = dict(type="AnchorGenerator", strides=[2, 4, 8, 16, 32])
    extractor = dict(type="SingleRoIExtractor", featmap_strides=[2, 4])
    model = infer_model(
        RESNET, dict(type="FPN", out_channels=8, num_outs=5),
        rpn_head=dict(type="RPNHead", anchor_generator=anchors), bbox_head=dict(
            type="RetinaHead"), mask_head=dict(type="FCOSHead", prior_generator=dict(
                type="MlvlPointGenerator")), roi_head=dict(bbox_roi_extractor=extractor))
    assert model.rpn_head.anchor_generator.strides == [2, 4, 8, 16, 32]
    assert model.roi_head.bbox_roi_extractor.featmap_strides == [2, 4]
    assert "anchor_generator" not in model.bbox_head  # its default stays


@pytest.mark.parametrize(("published", "expected"), [
    (None, None), ([(2, 2), (4, 4)], None), ((4,), None), ((4, 8), (4, 8))],
    ids=["nothing", "pairs", "too few", "one for each level"])
def test_published_strides_are_used_if_they_are_numbers(
    published: Any, expected: Any
) -> None:
    class Backbone(torch.nn.Module):
        feature_channels, feature_strides = (8, 16), published

    levels = get_backbone_feature_info(dict(type=Backbone))
    assert levels is not None and levels.channels == (8, 16) and levels.strides == expected


def test_roi_extractors_read_the_levels_before_the_extra_ones() -> None:
    model = infer_model(SWIN, dict(type="BiFPN", start_level=1), roi_head=dict(
        bbox_roi_extractor=dict(type="SingleRoIExtractor")))
    assert model.roi_head.bbox_roi_extractor.featmap_strides == [8, 16, 32]
    assert model.roi_head.bbox_roi_extractor.out_channels == 64  # BiFPN's default


def test_inferred_strides_override_head_defaults() -> None:
    neck = dict(type="FPN", num_outs=3)
    model = infer_model({**SWIN, "out_indices": (1, 2, 3)}, neck, rpn_head=None, bbox_head=[
        dict(type="FCOSHead"), dict(type="RetinaHead")])
    assert model.bbox_head[0].strides == [8, 16, 32]
    # RetinaHead has strides 8 to 128 in its default anchor_generator.
    anchors = model.bbox_head[1].anchor_generator
    assert anchors.strides == [8, 16, 32] and anchors.octave_base_scale == 4


@pytest.mark.parametrize(("name", "options", "rpn"), [
    ("vitdet_cascade", {"model.backbone": dict(_delete_=True, **VIT_14)}, "3.5,7,14,28,56"),
    ("vitdet_cascade", {"model.backbone": dict(_delete_=True, **VIT),
                        "model.neck.scale_factors": (8, 4, 2, 1)}, "2,4,8,16,32"),
    ("vitdet_cascade", {"model.backbone": dict(_delete_=True, **VIT),
                        "model.neck": dict(_delete_=True, type="BiFPN")}, "16,32,64,128,256"),
    ("faster_swin", {"model.backbone.out_indices": (1, 2, 3)}, "8,16,32,64,128"),
    ("timm_resnext50", {"model.backbone.name": "test_resnet", "model.backbone.strides": None},
     "32,64,128,256,512"),
], ids=["patches of 14", "finer scales", "BiFPN on one map", "later levels", "one level"])
def test_stride_mismatch_is_rejected_and_the_suggested_options_work(
    repository: Path, name: str, options: dict[str, Any], rpn: str
) -> None:
    options = {RPN: [4, 8, 16, 32, 64], ROI: [4, 8, 16, 32], **options}
    cfg = load_config(repository / "configs" / f"{name}.py", options)
    with pytest.raises(ConfigError) as caught:
        infer_fields(cfg, None)
    message = str(caught.value)
    assert f"{RPN}: " in message and "got [4, 8, 16, 32, 64] in the config" in message
    assert f"{RPN}={rpn} {ROI}={','.join(rpn.split(',')[:4])}" in message
    remedy = parse_options(message.partition("--cfg-options ")[2].split())
    infer_fields(load_config(repository / "configs" / f"{name}.py", {**options, **remedy}), None)


def by_name(name: str, neck: dict[str, Any], **parts: Any) -> Any:
    return infer_model(dict(type="TimmBackbone", name=name), neck, **parts)


@pytest.mark.parametrize(("name", "neck", "expected"), [
    ("test_resnet", dict(type="FPN", num_outs=5), dict(type="FPN", num_outs=5)),
    ("levit_128s", dict(type="mmdet.FPN", num_outs=5, start_level=0, end_level=-1),
     dict(type="FinerFPN", num_outs=5, num_finer=2)),
    ("levit_128s", dict(type="FPN", num_outs=4, add_extra_convs=True),
     dict(type="FinerFPN", num_outs=4, num_finer=1, add_extra_convs=True)),
    ("pit_ti_224", dict(type="FPN", num_outs=3), dict(type="FPN", num_outs=3)),
    ("pit_ti_224", dict(type="FPN", num_outs=3, start_level=1),
     dict(type="FPN", num_outs=3, start_level=1)),
    ("pit_ti_224", dict(type="BiFPN"), dict(type="BiFPN")),
    ("test_vit", dict(type="FPN", num_outs=5, out_channels=8, start_level=0),
     dict(type="SimpleFeaturePyramid", num_outs=5, out_channels=8,
          scale_factors=[4.0, 2.0, 1.0, 0.5])),
    ("test_vit", dict(type="FPN", num_outs=2), dict(
        type="SimpleFeaturePyramid", num_outs=2, scale_factors=[4.0, 2.0])),
    ("test_vit", dict(type="BiFPN"), dict(type="BiFPN")),
], ids=str)
def test_fpn_follows_the_levels_of_a_model_given_by_its_name(
    name: str, neck: dict[str, Any], expected: dict[str, Any]
) -> None:
    model = by_name(name, neck)
    strides = {"test_resnet": [4, 8, 16, 32], "levit_128s": [16, 32, 64],
               "pit_ti_224": [8, 16, 32], "test_vit": [16]}[name]
    assert model.backbone.strides == strides
    found = model.neck.to_dict()
    assert len(found.pop("in_channels")) == len(strides)
    assert found == expected
    # Once written, the levels are the config's own: nothing changes again.
    before = model.to_dict()
    infer_fields(Config(dict(default_scope="detkit", model=model)), None)
    assert model.to_dict() == before


@pytest.mark.parametrize(("neck", "parts", "words"), [
    (dict(type="FPN", num_outs=5, start_level=1), {},
     r"model.neck.start_level: test_vit has one level, of stride 16.*got 1; "
     r"omit start_level, or set model.backbone.strides=16"),
    (dict(type="FPN", num_outs=5, in_channels=[64, 128, 256, 512]), {},
     r"model.neck.in_channels: .*got \[64, 128, 256, 512\].*expected \[64\]"),
    (dict(type="FPN", num_outs=5), dict(rpn_head=dict(type="RPNHead", anchor_generator=dict(
        type="AnchorGenerator", strides=[16, 32, 64, 128, 256]))),
     r"anchor_generator.strides: .*got \[16, 32, 64, 128, 256\].*expected \[4, 8, 16, 32, 64\]"),
], ids=["level", "channels", "strides"])
def test_config_that_contradicts_the_levels_of_a_named_model_is_rejected(
    neck: dict[str, Any], parts: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        by_name("test_vit", neck, **parts)


def test_replaced_neck_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    logger = MMLogger.get_current_instance()  # it does not propagate
    logger.addHandler(caplog.handler)
    try:
        by_name("pit_ti_224", dict(type="FPN", num_outs=5))
        by_name("test_resnet", dict(type="FPN", num_outs=5))
    finally:
        logger.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records if record.name == logger.name] == [
        "TimmBackbone 'pit_ti_224', where the config leaves it open: levels of stride 8, 16, 32, "
        "neck FinerFPN, num_finer=1 in place of FPN"]


def test_stride_pairs_and_fewer_roi_levels_are_accepted() -> None:
    anchors = dict(type="AnchorGenerator", strides=[(4, 4), (8, 8), (16, 16), (32, 32), (64, 64)])
    extractor = dict(type="GenericRoIExtractor", featmap_strides=(4, 8))
    model = infer_model(SWIN, dict(type="FPN", num_outs=5, out_channels=8),
                        rpn_head=dict(type="RPNHead", anchor_generator=anchors),
                        roi_head=dict(bbox_roi_extractor=extractor))
    assert list(model.roi_head.bbox_roi_extractor.featmap_strides) == [4, 8]


def test_mmdet_anchors_accept_fractional_strides() -> None:
    from mmdet.models.task_modules import AnchorGenerator

    priors = AnchorGenerator([3.5], [1.0], [8]).grid_priors([(2, 3)], device="cpu")[0]
    # Centres at multiples of 3.5, sides of 8 x 3.5 = 28.
    centres = torch.tensor([[3.5 * x, 3.5 * y] for y in range(2) for x in range(3)])
    torch.testing.assert_close(priors, torch.cat([centres - 14, centres + 14], dim=1))
