"""mmdet's detectors on detkit's operators: all shipped configs build, thumbnails of them train.

A thumbnail is a shipped config with an eighth of its channels, few classes and no pretrained
weights; the rest, such as operators and losses, is unchanged.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmdet
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope

CONFIGS = Path(mmdet.__file__).parent / ".mim" / "configs"
CLASSES, SIDE, SHRINK = 5, 96, 8

FAMILIES = {
    "faster_rcnn": "faster-rcnn_r50_fpn_1x_coco.py",
    "cascade_rcnn": "cascade-rcnn_r50_fpn_1x_coco.py",
    "retinanet": "retinanet_r50_fpn_1x_coco.py",
    "dcn": "faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py",
    "dcnv2": "faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py",
    "fcos": "fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "atss": "atss_r50_fpn_1x_coco.py",
    "detr": "detr_r50_8xb2-150e_coco.py",
    "deformable_detr": "deformable-detr_r50_16xb2-50e_coco.py",
    "rtmdet": "rtmdet_tiny_8xb32-300e_coco.py",
}
FAMILY_CONFIGS = [f"{folder}/{name}" for folder, name in FAMILIES.items()]

# Configs with an operator that their family's thumbnail does not use.
RELATIVES = [
    "faster_rcnn/faster-rcnn_r50_fpn_soft-nms_1x_coco.py",
    "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py",
    "dcn/faster-rcnn_r50_fpn_dpool_1x_coco.py",
    "dcnv2/faster-rcnn_r50-mdconv-group4-c3-c5_fpn_1x_coco.py",
    "dcnv2/faster-rcnn_r50_fpn_mdpool_1x_coco.py",
    "carafe/faster-rcnn_r50_fpn-carafe_1x_coco.py",
    "dyhead/atss_r50_fpn_dyhead_1x_coco.py",
    "guided_anchoring/ga-retinanet_r50-caffe_fpn_1x_coco.py",
]

# Configs with other heads or losses on those operators.
FURTHER = [
    "faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco.py",
    "faster_rcnn/faster-rcnn_r50_fpn_ohem_1x_coco.py",
    "faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco.py",
    "faster_rcnn/faster-rcnn_r50_fpn_ciou_1x_coco.py",
    "dcn/mask-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py",
    "fcos/fcos_r50-dcn-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    "rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py",
    "carafe/mask-rcnn_r50_fpn-carafe_1x_coco.py",
    "cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py",
    "reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py",
]

# mmdet's code has their channels hard-coded, so they keep their size.
UNSHRUNK = [
    "faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py",
    "deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco.py",
]

# Files in the folders above that are not detectors of mmdet alone.
LEFT_OUT = {
    "retinanet/retinanet_tta.py": "augments tests of another config's model",
    "rtmdet/rtmdet_tta.py": "augments tests of another config's model",
    "rtmdet/rtmdet_l_convnext_b_4xb32-100e_coco.py": "its backbone is in mmpretrain",
}


@pytest.mark.parametrize("name", FAMILY_CONFIGS)
def test_family_builds_as_shipped(name: str) -> None:
    _build(_shipped(name))


@pytest.mark.slow
def test_every_config_of_the_families_builds() -> None:
    paths = [path for folder in FAMILIES for path in sorted((CONFIGS / folder).glob("*.py"))]
    names = [str(path.relative_to(CONFIGS)) for path in paths]
    assert len(names) > 150 and set(LEFT_OUT) <= set(names)
    built: set[str] = set()
    faults: list[str] = []
    for name in names:
        if name in LEFT_OUT:
            continue
        try:
            config = _shipped(name)
            # Many files differ by schedule and augmentation only.
            if (key := str(config["model"].to_dict())) not in built:
                _build(config)
                built.add(key)
        except Exception as fault:
            faults.append(f"{name}: {type(fault).__name__}: {fault}")
    assert not faults, "\n".join(faults)
    assert len(built) > 80


@pytest.mark.parametrize("name", FAMILY_CONFIGS + RELATIVES)
def test_thumbnail_takes_a_training_step_and_predicts(name: str) -> None:
    _train_and_predict(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", FURTHER + UNSHRUNK)
def test_further_thumbnail_takes_a_training_step_and_predicts(name: str) -> None:
    _train_and_predict(name)


@pytest.mark.parametrize("folder", ["cascade_rcnn", "dcnv2", "deformable_detr"])
def test_thumbnail_trains_under_autocast(folder: str) -> None:
    _train_and_predict(f"{folder}/{FAMILIES[folder]}", autocast=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILY_CONFIGS + RELATIVES + FURTHER)
def test_any_thumbnail_trains_under_autocast(name: str) -> None:
    _train_and_predict(name, autocast=True)


def test_images_without_objects_train() -> None:
    model = _trainable(_thumbnail("cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"))
    _training_step(model, demo_mm_inputs(2, (3, SIDE, SIDE), num_items=[0, 0]))


def _train_and_predict(name: str, autocast: bool = False) -> None:
    config = _thumbnail(name)
    with_mask = "mask" in name or "-ins" in name
    batch = demo_mm_inputs(
        2,
        (3, SIDE, SIDE),
        num_items=[3, 1],
        num_classes=CLASSES,
        with_mask=with_mask,
        use_box_type=True,
    )
    model = _trainable(config)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        _training_step(model, copy.deepcopy(batch))
        # mmcv's masked convolution takes one image.
        parts = _one_by_one(batch) if "guided" in name else [batch]
        results = [result for part in parts for result in _predict(model, part)]
    assert [len(result.pred_instances) > 0 for result in results] == [True, True]
    for result in results:
        instances = result.pred_instances
        assert instances.bboxes.shape == (len(instances), 4) and instances.bboxes.isfinite().all()
        assert instances.scores.isfinite().all()
        assert instances.labels.ge(0).all() and instances.labels.lt(CLASSES).all()
        assert not with_mask or instances.masks.shape[0] == len(instances)


def _training_step(model: torch.nn.Module, batch: dict[str, Any]) -> None:
    model.train()
    losses = model(**model.data_preprocessor(batch, True), mode="loss")
    loss, logged = model.parse_losses(losses)
    assert loss.isfinite() and loss > 0, logged
    loss.backward()
    gradients = {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert any(name.startswith("backbone") and g.any() for name, g in gradients.items())
    before = copy.deepcopy(model.state_dict())
    torch.optim.SGD(model.parameters(), 1e-4).step()
    after = model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in gradients)


def _predict(model: torch.nn.Module, batch: dict[str, Any]) -> list[DetDataSample]:
    model.eval()
    with torch.no_grad():
        results: list[DetDataSample] = model.test_step(batch)
    return results


def _one_by_one(batch: dict[str, Any]) -> list[dict[str, Any]]:
    samples = zip(batch["inputs"], batch["data_samples"])
    return [{"inputs": [image], "data_samples": [sample]} for image, sample in samples]


def _shipped(name: str) -> Config:
    config = Config.fromfile(CONFIGS / name)
    for holder in _dicts(config["model"]):
        if "pretrained" in holder:
            holder["pretrained"] = None
        if isinstance(init := holder.get("init_cfg"), dict) and init.get("type") == "Pretrained":
            holder["init_cfg"] = None
    return config


CHANNELS = {
    "conv_out_channels",
    "embed_dims",
    "fc_out_channels",
    "feat_channels",
    "feedforward_channels",
    "in_channels",
    "num_feats",
    "out_channels",
    "output_channels",
}


def _thumbnail(name: str) -> Config:
    config = _shipped(name)
    if name not in UNSHRUNK:
        _shrink(config["model"])
    for holder in _dicts(config["model"]):
        for key, value in holder.items():
            if key == "num_classes":
                holder[key] = CLASSES
            elif key == "num_queries":
                holder[key] = min(value, 100)  # two stages select them from 193 positions
            elif key == "num":  # RoIs from the sampler to the heads
                holder[key] = min(value, 64)
            elif key == "score_thr":  # untrained scores are low; some detections must remain
                holder[key] = 0.0
    return config


def _shrink(model: dict[str, Any]) -> None:
    backbone = model["backbone"]
    if "widen_factor" in backbone:
        backbone["widen_factor"] /= SHRINK
    else:
        backbone["base_channels"] = 64 // SHRINK
    for holder in _dicts(model):
        for key in CHANNELS & holder.keys():
            holder[key] = _shrunk(holder[key])
        # Defaults of a config are not scaled with the rest.
        if str(holder.get("type")).endswith("DeformRoIPoolPack"):
            holder["deform_fc_channels"] = 16
        if holder.get("type") == "DeformableDETRHead":
            holder["embed_dims"] = 256 // SHRINK


def _shrunk(channels: Any) -> Any:
    if isinstance(channels, (list, tuple)):
        return [_shrunk(value) for value in channels]
    return channels // SHRINK if channels > 3 else channels


def _dicts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list, tuple)):
            yield from _dicts(child)


def _build(config: Config) -> torch.nn.Module:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(config.get("default_scope", "mmdet")):
        # mmengine's runner reverts it too in a single process.
        return revert_sync_batchnorm(MODELS.build(config["model"]))


def _trainable(config: Config) -> torch.nn.Module:
    model = _build(config)
    model.init_weights()
    for name, module in model.named_modules():
        if name.endswith("conv_offset"):  # zeros would sample integer positions only
            torch.nn.init.normal_(module.weight, std=0.1)
    return model
