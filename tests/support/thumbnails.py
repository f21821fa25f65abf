"""Small detectors of many kinds, their weights drawn so that they find tens of boxes anywhere."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn
from torch.nn import functional

from detkit.registry import MODELS, import_mmdet

CLASSES = 4
PREPROCESSOR = dict(type="DetDataPreprocessor", mean=[123.675, 116.28, 103.53],
                    std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_size_divisor=32)
PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(128, 96), keep_ratio=True),
    dict(type="PackDetInputs",
         meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]

RESNET = dict(type="ResNet", depth=18, base_channels=8, stem_channels=8)
BACKBONES: dict[str, dict[str, Any]] = {
    "resnet": RESNET,
    "resnet_dcn": dict(RESNET, depth=50, base_channels=4, with_cp=True,
                       stage_with_dcn=(False, True, True, True),
                       dcn=dict(type="DCN", deform_groups=1, fallback_on_stride=False)),
    "resnet_dcnv2": dict(RESNET, depth=50, base_channels=4,
                         stage_with_dcn=(False, True, True, True),
                         dcn=dict(type="DCNv2", deform_groups=2, fallback_on_stride=False)),
    "convnextv2": dict(type="ConvNeXtV2", depths=(1, 1, 1, 1), dims=(8, 16, 32, 64)),
    "convnextv2_dcn": dict(type="ConvNeXtV2", depths=(1, 1, 1, 1), dims=(8, 16, 32, 64),
                           deform_stages=(2, 3), with_cp=True),
    "efficientnet": dict(type="detkit.EfficientNet", arch="lite0"),
    "swin": dict(type="detkit.SwinTransformer", embed_dims=8, depths=(2, 2, 2, 2),
                 num_heads=(1, 2, 4, 8), window_size=7),
    "timm": dict(type="TimmBackbone", name="resnet10t", pretrained=False),
}


def two_stage(
    backbone: dict[str, Any] | None = None,
    neck: dict[str, Any] | None = None,
    cascade: bool = True,
    agnostic: bool = True,
    channels: tuple[int, ...] = (8, 16, 32, 64),
    roi_layer: dict[str, Any] | None = None,
    **rpn: Any,
) -> dict[str, Any]:
    """The config of a Faster or Cascade R-CNN; ``rpn`` goes to its ``test_cfg.rpn``."""
    layer = dict(dict(type="RoIAlign", output_size=5, sampling_ratio=2), **(roi_layer or {}))
    head = dict(
        type="Shared2FCBBoxHead", in_channels=16, fc_out_channels=32, roi_feat_size=5,
        num_classes=CLASSES, reg_class_agnostic=agnostic,
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_cls=dict(type="CrossEntropyLoss"), loss_bbox=dict(type="L1Loss"))
    extractor = dict(type="SingleRoIExtractor", out_channels=16, featmap_strides=[4, 8, 16, 32],
                     finest_scale=14, roi_layer=layer)
    stages: dict[str, Any] = dict(num_stages=3, stage_loss_weights=[1, 0.5, 0.25])
    return dict(
        type="CascadeRCNN" if cascade else "FasterRCNN",
        data_preprocessor=PREPROCESSOR,
        train_cfg=None,
        backbone=backbone or RESNET,
        neck=neck or dict(type="FPN", in_channels=list(channels), out_channels=16, num_outs=5),
        rpn_head=dict(
            type="RPNHead", in_channels=16, feat_channels=16,
            anchor_generator=dict(type="AnchorGenerator", scales=[4], ratios=[0.5, 1.0, 2.0],
                                  strides=[4, 8, 16, 32, 64]),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
            loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True),
            loss_bbox=dict(type="L1Loss")),
        roi_head=dict(
            type="CascadeRoIHead" if cascade else "StandardRoIHead", **stages if cascade else {},
            bbox_roi_extractor=extractor, bbox_head=[head] * 3 if cascade else head),
        test_cfg=dict(
            rpn=dict(dict(nms_pre=200, max_per_img=60, min_bbox_size=0,
                          nms=dict(type="nms", iou_threshold=0.7)), **rpn),
            rcnn=dict(score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100)))


FOCAL = dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25)
GROUPS = dict(type="GN", num_groups=4)
POINTS = dict(type="MlvlPointGenerator", offset=0, strides=[8, 16, 32])
HEADS: dict[str, dict[str, Any]] = {
    "retina": dict(
        type="RetinaHead", stacked_convs=1, loss_cls=FOCAL,
        anchor_generator=dict(type="AnchorGenerator", octave_base_scale=4, scales_per_octave=3,
                              ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64, 128])),
    "retina_softmax": dict(
        type="RetinaHead", stacked_convs=1,
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False),
        anchor_generator=dict(type="AnchorGenerator", octave_base_scale=4, scales_per_octave=1,
                              ratios=[1.0], strides=[8, 16, 32, 64, 128])),
    "efficientdet": dict(
        type="EfficientDetHead", num_ins=5, stacked_convs=1, loss_cls=FOCAL,
        anchor_generator=dict(type="AnchorGenerator", octave_base_scale=4, scales_per_octave=3,
                              ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64, 128])),
    "fcos": dict(type="FCOSHead", norm_cfg=GROUPS, stacked_convs=1, strides=[8, 16, 32, 64, 128],
                 norm_on_bbox=True, centerness_on_reg=True, dcn_on_last_conv=True),
    "atss": dict(
        type="ATSSHead", norm_cfg=GROUPS, stacked_convs=1, loss_cls=FOCAL,
        anchor_generator=dict(type="AnchorGenerator", octave_base_scale=8, scales_per_octave=1,
                              ratios=[1.0], strides=[8, 16, 32, 64, 128])),
    "vfnet": dict(type="VFNetHead", norm_cfg=GROUPS, stacked_convs=1, strides=[8, 16, 32, 64, 128],
                  center_sampling=False, dcn_on_last_conv=False, use_atss=True,
                  use_vfl=True, loss_cls=dict(type="VarifocalLoss", use_sigmoid=True)),
    "rtmdet": dict(
        type="RTMDetSepBNHead", stacked_convs=1, share_conv=True, pred_kernel_size=1,
        exp_on_reg=True, anchor_generator=POINTS, with_objectness=False,
        bbox_coder=dict(type="DistancePointBBoxCoder"),
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True), norm_cfg=dict(type="BN")),
}
DETECTORS = {"efficientdet": "RetinaNet", "retina": "RetinaNet", "retina_softmax": "RetinaNet",
             "fcos": "FCOS", "atss": "ATSS", "vfnet": "VFNet", "rtmdet": "RTMDet"}


def single_stage(name: str, **test_cfg: Any) -> dict[str, Any]:
    """The config of a detector with one of ``HEADS``; ``test_cfg`` changes its own."""
    levels = 3 if name == "rtmdet" else 5
    return dict(
        type=DETECTORS[name], data_preprocessor=PREPROCESSOR, backbone=RESNET,
        neck=dict(type="FPN", in_channels=[8, 16, 32, 64], out_channels=16, start_level=1,
                  num_outs=levels, add_extra_convs="on_output"),
        bbox_head=dict(HEADS[name], num_classes=CLASSES, in_channels=16, feat_channels=16),
        test_cfg=dict(dict(nms_pre=300, score_thr=0.05, min_bbox_size=0, max_per_img=100,
                           nms=dict(type="nms", iou_threshold=0.6)), **test_cfg))


def build(config: dict[str, Any], seed: int = 0, settled: bool = True) -> Any:
    """The model in eval mode; norms settled, last layers large enough to tell places apart."""
    import_mmdet()
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope("detkit"):
        model: Any = MODELS.build(ConfigDict(copy.deepcopy(config)))
    if not settled:
        return model.eval()
    for name, layer in model.named_modules():
        if name.endswith("conv_offset"):  # born as zeros, which sample no fraction of a pixel
            nn.init.normal_(layer.weight, std=0.1)
            nn.init.normal_(layer.bias, std=0.3)
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    is_two_stage = hasattr(model, "roi_head")
    dense = model.rpn_head if is_two_stage else model.bbox_head
    image = functional.interpolate(torch.randn(4, 3, 16, 16), size=128, mode="bilinear")
    model.train()
    with torch.no_grad():
        dense(model.extract_feat(image))
        model.eval()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):  # a channel that was still must not blow up
                layer.running_var.clamp_(min=0.1)
        maps = model.extract_feat(image)
        outputs = dense(maps)
        _rescale([layer for name, layer in dense.named_children() if name.endswith(SCORING)],
                 torch.cat([item.flatten() for item in outputs[0]]), 0.7, -2.0)
        if is_two_stage:
            heads, extractors = model.roi_head.bbox_head, model.roi_head.bbox_roi_extractor
            several = isinstance(heads, nn.ModuleList)
            extractor = extractors[0] if several else extractors
            corners = torch.rand(64, 2) * 64
            rois = torch.cat([torch.arange(64)[:, None] % 4, corners,
                              corners + 8 + torch.rand(64, 2) * 56], dim=1)
            for head in heads if several else [heads]:
                logits, deltas = head(extractor(maps[: extractor.num_inputs], rois))
                _rescale([head.fc_cls], logits, 1.0, 0.0)
                _rescale([head.fc_reg], deltas, 0.25, 0.0)
    return model


# The ends of the names of the layers that give a dense head's scores.
SCORING = ("cls", "cls_predict")


def _rescale(layers: list[nn.Module], outputs: torch.Tensor, std: float, mean: float) -> None:
    """Scale last layers so that instead of ``outputs`` they give values of this spread."""
    assert layers
    for layer in layers:
        sublayers = [item for item in layer.modules() if isinstance(item, (nn.Conv2d, nn.Linear))]
        # A separable convolution is one layer, of which the last part has the bias.
        for sublayer in sublayers if isinstance(layer, nn.ModuleList) else sublayers[-1:]:
            sublayer.weight.mul_(std / outputs.std())
            if sublayer.bias is not None:
                sublayer.bias.add_(-outputs.mean()).mul_(std / outputs.std()).add_(mean)
