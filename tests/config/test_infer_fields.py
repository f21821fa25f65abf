"""Classes come from the dataset, channels from the backbone; mismatches report both values."""

from __future__ import annotations

from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config

from detkit.cli.args import parse_options
from detkit.config.infer.infer_fields import get_config_classes, get_feature_channels, infer_fields
from detkit.config.load_config import load_config
from detkit.errors import ConfigError

ZOO = Path(mmdet.__file__).parent / ".mim" / "configs"


def test_classes_and_channels_are_inferred(tiny_config: Path) -> None:
    cfg = load_config(tiny_config)
    infer_fields(cfg, ["a", "b", "c"])
    assert cfg.model.roi_head.bbox_head.num_classes == 3
    assert "num_classes" not in cfg.model.rpn_head
    # ResNet-18 doubles its base of 8 channels at each of the levels 1, 2, 3.
    assert cfg.model.neck.in_channels == [16, 32, 64]
    assert cfg.model.rpn_head.in_channels == 16
    assert cfg.model.roi_head.bbox_roi_extractor.out_channels == 16
    assert cfg.model.roi_head.bbox_head.in_channels == 16


def test_explicit_config_fields_are_kept(tiny_config: Path) -> None:
    given = {"model.neck.in_channels": [16, 32, 64], "model.roi_head.bbox_head.num_classes": 2}
    cfg = load_config(tiny_config, given)
    infer_fields(cfg, ["a", "b"])
    assert cfg.model.neck.in_channels == [16, 32, 64]
    assert cfg.model.roi_head.bbox_head.num_classes == 2


def test_num_classes_mismatch_error_suggests_the_fix(tiny_config: Path) -> None:
    cfg = load_config(tiny_config, {"model.roi_head.bbox_head.num_classes": 80})
    with pytest.raises(ConfigError) as caught:
        infer_fields(cfg, ["a", "b"])
    for part in ("model.roi_head.bbox_head.num_classes", "got 80", "expected 2", "(a, b)",
                 "--cfg-options model.roi_head.bbox_head.num_classes=2"):
        assert part in str(caught.value)


def test_neck_mismatch_error_has_both_values(repository: Path) -> None:
    cfg = load_config(repository / "configs" / "cascade_swin.py",
                      {"model.neck.in_channels": [64, 128, 256, 512]})
    with pytest.raises(ConfigError, match=r"got \[64, 128, 256, 512\].*expected \[96, 192, 384"):
        infer_fields(cfg, None)


@pytest.mark.parametrize(
    "part", ["rpn_head.in_channels", "roi_head.bbox_roi_extractor.out_channels"]
)
def test_head_mismatch_error_has_both_values(tiny_config: Path, part: str) -> None:
    cfg = load_config(tiny_config, {f"model.{part}": 256})
    with pytest.raises(ConfigError, match=f"model.{part}: .*got 256.*expected 16"):
        infer_fields(cfg, None)


@pytest.mark.parametrize(("name", "options", "fix"), [
    ("efficientdet_d0", {"model.neck.out_channels": 88}, "model.bbox_head.in_channels=88"),
    ("efficientdet_d0", {"model.neck.num_outs": 4},
     "model.bbox_head.num_ins=4 model.bbox_head.anchor_generator.strides=8,16,32,64"),
    ("efficientdet_d0", {"model.bbox_head.num_ins": 4}, "model.bbox_head.num_ins=5"),
    ("cascade_swin", {"model.neck.in_channels": [64, 128, 256, 512]},
     "model.neck.in_channels=96,192,384,768"),
    ("cascade_swin", {"model.roi_head.bbox_head.1.in_channels": 64},
     "model.roi_head.bbox_head.1.in_channels=256"),
    ("vitdet_cascade", {
        "model.backbone": dict(_delete_=True, type="TimmBackbone", name="test_vit", strides=None),
        "model.neck.in_channels": 768}, "model.neck.in_channels=64,"),
])
def test_mismatch_error_has_the_options_that_correct_it(
    repository: Path, name: str, options: dict[str, object], fix: str
) -> None:
    path = repository / "configs" / f"{name}.py"
    with pytest.raises(ConfigError) as caught:
        infer_fields(load_config(path, options), None)
    assert str(caught.value).endswith(f"--cfg-options {fix}")
    infer_fields(load_config(path, {**options, **parse_options(fix.split())}), None)


@pytest.mark.parametrize("neck", [dict(type="BiFPN"), dict(type="FPN", out_channels=48)],
                         ids=["BiFPN's default of 64", "FPN"])
def test_neck_out_channels_reach_every_head(repository: Path, neck: dict[str, object]) -> None:
    options = {"model.neck": dict(_delete_=True, num_outs=5, **neck)}
    cfg = load_config(repository / "configs" / "cascade_swin.py", options)
    infer_fields(cfg, None)
    width = neck.get("out_channels", 64)
    assert cfg.model.rpn_head.in_channels == width
    assert cfg.model.roi_head.bbox_roi_extractor.out_channels == width
    assert [head.in_channels for head in cfg.model.roi_head.bbox_head] == [width] * 3


def test_head_levels_come_from_the_neck(repository: Path) -> None:
    options = {"model.bbox_head.num_ins": None, "model.bbox_head.in_channels": None,
               "model.bbox_head.anchor_generator.strides": None, "model.neck.num_outs": 4}
    cfg = load_config(repository / "configs" / "efficientdet_d0.py", options)
    infer_fields(cfg, None)
    assert cfg.model.bbox_head.num_ins == 4 and cfg.model.bbox_head.in_channels == 64
    assert cfg.model.bbox_head.anchor_generator.strides == [8, 16, 32, 64]


@pytest.mark.parametrize("behind", [
    dict(bbox_roi_extractor=dict(type="GenericRoIExtractor", aggregation="concat")),
    dict(bbox_roi_extractor=dict(type="SingleRoIExtractor"), shared_head=dict(type="ResLayer")),
], ids=["extractor that concatenates levels", "shared head"])
def test_heads_that_do_not_read_the_neck_directly_keep_their_channels(
    behind: dict[str, object]
) -> None:
    head = dict(type="Shared2FCBBoxHead", in_channels=1024)
    cfg = Config(dict(default_scope="detkit", model=dict(
        backbone=dict(type="SwinTransformer", arch="micro"), neck=dict(type="BiFPN"),
        roi_head=dict(bbox_head=head, **behind))))
    infer_fields(cfg, None)
    assert cfg.model.roi_head.bbox_head.in_channels == 1024


def test_string_for_classes_is_rejected(tiny_config: Path) -> None:
    cfg = load_config(tiny_config, {"train_dataloader.dataset.metainfo.classes": "cat"})
    with pytest.raises(ConfigError, match=r"'cat', expected .*\('cat',\)"):
        get_config_classes(cfg)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (dict(type="ResNet", depth=50), (256, 512, 1024, 2048)),  # arXiv 1512.03385, table 1
        (dict(type="ResNet", depth=18, out_indices=(1, 3)), (128, 512)),
        (dict(type="mmdet.SwinTransformer", embed_dims=96), (96, 192, 384, 768)),
        (dict(type="SwinTransformer", arch="tiny", out_indices=(1, 2)), (192, 384)),
        (dict(type="RPNHead"), None),
    ],
    ids=["ResNet-50", "subset of levels", "mmdet's Swin", "detkit's Swin", "no backbone"],
)
def test_channels_of_backbones(
    backbone: dict[str, object], expected: tuple[int, ...] | None
) -> None:
    assert get_feature_channels(backbone) == expected


@pytest.mark.parametrize(
    "name",
    ["faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "pascal_voc/retinanet_r50_fpn_1x_voc0712.py",
     "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py", "yolo/yolov3_d53_8xb8-320-273e_coco.py",
     "lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py"],
)
def test_mmdet_configs_match_their_datasets(name: str) -> None:
    cfg = load_config(ZOO / name)
    before = cfg.model.to_dict()
    infer_fields(cfg, get_config_classes(cfg))
    assert cfg.model.to_dict() == before
