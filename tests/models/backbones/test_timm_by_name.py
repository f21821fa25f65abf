"""A detector on any model of timm by its name alone: levels, neck and heads fit each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from mmengine.registry import DefaultScope

from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.registry import MODELS

HEIGHT, WIDTH = 96, 160
# From timm's names and the papers: the strides of the model's maps from 4 on.
QUICK = {"levit_128s": (16, 32, 64), "test_vit": (16,), "mobilenetv3_small_050": (4, 8, 16, 32),
         "pit_ti_224": (8, 16, 32)}
SLOW: dict[str, tuple[int, ...]] = {
    **dict.fromkeys((
        "convnext_atto", "convnextv2_atto", "resnet18", "resnetv2_50", "resnext50_32x4d",
        "seresnet50", "res2net50d", "regnetx_002", "regnety_002", "regnetz_b16", "densenet121",
        "mobilenetv1_100", "mobilenetv2_035", "mobilenetv4_conv_small", "mobileone_s0",
        "efficientnet_lite0", "tf_efficientnet_lite0", "tf_efficientnetv2_b0", "mixnet_s",
        "mnasnet_small", "fbnetv3_b", "ghostnet_050", "lcnet_050", "hardcorenas_a", "rexnet_100",
        "efficientvit_b0", "hgnet_tiny", "hgnetv2_b0", "maxvit_nano_rw_256",
        "maxxvit_rmlp_nano_rw_256",
        "coatnet_nano_rw_224", "pvt_v2_b0", "fastvit_t8", "edgenext_xx_small", "mobilevit_xxs",
        "mobilevitv2_050", "repvit_m0_9", "repghostnet_050", "repvgg_a0", "poolformer_s12",
        "poolformerv2_s12", "convformer_s18", "caformer_s18", "efficientformer_l1",
        "efficientformerv2_s0", "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256",
        "davit_tiny", "focalnet_tiny_srf", "gcvit_xxtiny", "twins_svt_small", "tiny_vit_5m_224",
        "inception_next_atto", "mambaout_femto", "starnet_s1", "swiftformer_xs",
        "hrnet_w18_small", "dla34", "vovnet39a", "selecsls42", "cspresnet50", "darknet53",
        "dm_nfnet_f0", "nf_regnet_b0", "xception41", "vgg11"),
        (4, 8, 16, 32)),
    **dict.fromkeys(("vit_tiny_patch16_224", "deit_tiny_patch16_224", "beitv2_base_patch16_224",
                     "mixer_s16_224", "xcit_nano_12_p16_224", "cait_xxs24_224",
                     "naflexvit_base_patch16_gap"), (16,)),
    "vit_small_patch14_dinov2": (14,), "vit_base_patch32_224": (32,),
    "nest_tiny": (4, 8, 16), "crossvit_tiny_240": (12, 17), "visformer_tiny": (8, 16, 32),
    "volo_d1_224": (8, 16),
    "efficientvit_m0": (16, 32, 64), "shvit_s1": (16, 32, 64),
}


def build_by_name(repository: Path, name: str) -> tuple[Any, Any]:
    """The config and the model of cascade_swin_nano on this model of timm."""
    cfg = load_config(repository / "configs" / "cascade_swin_nano.py", {
        "model.backbone": dict(_delete_=True, type="TimmBackbone", name=name)})
    infer_fields(cfg, ["a", "b"])
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("detkit"):
        return cfg, MODELS.build(cfg.model)


@pytest.mark.parametrize(("name", "strides"), [
    *QUICK.items(),
    *(pytest.param(*case, marks=pytest.mark.slow, id=case[0]) for case in SLOW.items())])
def test_levels_reach_neck_and_heads(
    repository: Path, name: str, strides: tuple[int, ...]
) -> None:
    cfg, model = build_by_name(repository, name)
    model.eval()
    assert model.backbone.feature_strides == strides == tuple(cfg.model.backbone.strides)
    with torch.no_grad():
        maps = model.backbone(torch.randn(1, 3, HEIGHT, WIDTH))
        levels = model.neck(maps)
    channels = {level["reduction"]: level["num_chs"] for level in timm.create_model(
        name, num_classes=0).feature_info}
    for level, stride in zip(maps, strides, strict=True):
        assert level.shape == (1, channels[stride], -(-HEIGHT // stride), -(-WIDTH // stride))
    anchors = [side for side, _ in model.rpn_head.prior_generator.strides]
    assert len(levels) == len(anchors) == 5
    # From the finest map by doubling, the maps' own, from the coarsest by halving.
    num_finer = anchors.index(strides[0])
    sides = [[-(-side // strides[0]) * 2**step for side in (HEIGHT, WIDTH)]
             for step in range(num_finer, 0, -1)]
    sides += [[-(-side // stride) for side in (HEIGHT, WIDTH)] for stride in strides]
    while len(sides) < 5:
        sides.append([-(-side // 2) for side in sides[-1]])
    assert [tuple(level.shape) for level in levels] == [(1, 64, *side) for side in sides]
    assert all(level.isfinite().all() for level in levels)
    assert 3 <= anchors[0] <= 4.5 and anchors == sorted(anchors)
    extractor = model.roi_head.bbox_roi_extractor[0]
    assert list(extractor.featmap_strides) == anchors[: len(extractor.featmap_strides)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["levit_128s", "test_vit"])
def test_detector_by_name_takes_a_step_and_predicts(repository: Path, name: str) -> None:
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmengine.structures import InstanceData

    _, model = build_by_name(repository, name)
    model.init_weights()
    sample = DetDataSample(metainfo=dict(img_shape=(HEIGHT, WIDTH), ori_shape=(HEIGHT, WIDTH),
                                         scale_factor=(1.0, 1.0), img_id=0))
    sample.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(torch.tensor([[8.0, 8, 40, 56]])), labels=torch.tensor([1]))
    image = torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8)
    data = {"inputs": [image, image], "data_samples": [sample, sample.clone()]}
    model.train()
    total, _ = model.parse_losses(model(**model.data_preprocessor(data, True), mode="loss"))
    total.backward()
    assert total.isfinite()
    assert not [key for key, weight in model.named_parameters() if weight.grad is None]
    model.eval()
    with torch.no_grad():
        found = model(**model.data_preprocessor(data, False), mode="predict")
    assert all(result.pred_instances.bboxes.isfinite().all() for result in found)
