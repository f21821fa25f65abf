"""The component types allowed in a checkpoint: analyzed in their source, and complete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmdet
import pytest
from mmengine.config import Config
from source_audit import findings

from detkit import registry as detkit_registry
from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.config.pipeline_cfg import find_test_pipeline
from detkit.config.validate.allowed_types import (
    DATASET_TYPES,
    MODEL_TYPES,
    TRANSFORM_TYPES,
    is_allowed_type,
)
from detkit.config.validate.embedded_config import ALLOWED_SCOPES
from detkit.config.validate.registry_lookup import lookup, registered_names
from detkit.engine.load_model import _ensure_data_only, _parse_config
from detkit.errors import WeightsError

ZOO = Path(mmdet.__file__).parent / ".mim" / "configs"
CATEGORIES = {
    "models": ((detkit_registry.MODELS, detkit_registry.TASK_UTILS), MODEL_TYPES),
    "steps": ((detkit_registry.TRANSFORMS,), TRANSFORM_TYPES),
    "datasets": ((detkit_registry.DATASETS,), DATASET_TYPES),
}
# Unsafe calls reachable from allowed types, and why no string of a config reaches them.
SAFE_CALLS = {
    # The argument is a ``type`` of the config, which is on the list.
    "mmcv.ops.nms.batched_nms": "nms",
    "mmdet.models.roi_heads.roi_extractors.base_roi_extractor.BaseRoIExtractor.build_roi_layers":
        "roi_layer",
    "mmdet.models.necks.fpn_carafe.FPN_CARAFE.__init__": "upsample_cfg",
    # REGISTRY_NAME_ARGUMENTS: checked like a ``type``.
    "mmcv.cnn.bricks.conv_module.ConvModule.__init__": "padding_mode",
    "mmdet.models.layers.transformer.utils.PatchEmbed.__init__": "conv_type",
    # Attribute names of the class itself, or numbers.
    "mmcv.transforms.utils.cache_random_params": "names of its own methods",
    "mmengine.structures.base_data_element.BaseDataElement.keys": "names of its own data",
    "mmengine.logging.logger._get_logging_file_handlers": "the program's log",
    # Objects of Python configs; a config of literals has none.
    "mmengine.config.lazy.LazyAttr.build": "LazyAttr",
    "mmengine.config.lazy.LazyObject.build": "LazyObject",
}
# Functions that read the annotation file of a dataset: COCO json at a local path, because of
# DATASET_ARGUMENTS.
SAFE_CALLS_IN_DATA = ("mmengine.config.", "mmengine.fileio.", "mmengine.utils.misc.")
DATA_READERS = {"load_data_list", "_serialize_data", "get_data_info", "_load_metainfo"}


def _lookup_all(name: str) -> list[Any]:
    """The classes of ``name`` in each scope and registry that a checkpoint may use."""
    registries = dict.fromkeys(item for items, _ in CATEGORIES.values() for item in items)
    targets = [lookup(registry, name, scope) for registry in registries for scope in ALLOWED_SCOPES]
    return [target for target in dict.fromkeys(targets) if target is not None]


def _allowed_types(category: str) -> Iterator[Any]:
    registries, types = CATEGORIES[category]
    allowed = {target for registry in registries for name in registered_names(registry)
               for target in _lookup_all(name) if is_allowed_type(target, types)}
    yield from sorted(allowed, key=lambda target: f"{target.__module__}.{target.__name__}")


def _is_safe(where: str, category: str) -> bool:
    if where in SAFE_CALLS or where.startswith("detkit."):
        return True  # tests/rules checks detkit's source
    if category != "datasets":
        return False
    return where.startswith(SAFE_CALLS_IN_DATA) or where.rpartition(".")[2] in DATA_READERS


@pytest.mark.parametrize("category", CATEGORIES)
def test_allowed_types_neither_execute_nor_import_nor_read_arguments(category: str) -> None:
    checked, unsafe = 0, []
    for target in _allowed_types(category):
        checked += 1
        unsafe += [f"{target.__name__}: {where}: {call}" for where, call in findings(target)
                   if not _is_safe(where, category)
                   # Reads proposal_file, which DATASET_ARGUMENTS rejects.
                   and not (category == "datasets" and where.endswith(".load_proposals"))]
    assert checked >= {"models": 300, "steps": 80, "datasets": 8}[category]
    assert not unsafe, "\n".join(unsafe)


def test_every_allowed_name_is_registered() -> None:
    for registries, types in CATEGORIES.values():
        names = {target.__name__ for registry in registries for name in registered_names(registry)
                 for target in _lookup_all(name)}
        assert not {name for listed in types.values() for name in listed} - names


@pytest.mark.parametrize("name", [
    "CameraMotionCompensation", "AppearanceFreeLink", "LAD", "BertModel", "ATSSVLFusionHead",
    "KnowledgeDistillationSingleStageDetector", "Albu", "RandomResize", "AutoAugment",
    "LoadImageFromFile", "OpenImagesDataset",
])
def test_unsafe_types_are_detected_and_not_allowed(name: str) -> None:
    targets = _lookup_all(name)
    assert targets
    for target in targets:
        assert any(not _is_safe(where, "models") for where, _ in findings(target))
        assert not any(is_allowed_type(target, types) for _, types in CATEGORIES.values())


def _as_read_from_checkpoint(cfg: Config, name: str) -> Config:
    """``cfg`` as read from a checkpoint, without ``pretty_text``, which takes a second."""
    text = "\n".join(f"{key} = {value!r}" for key, value in cfg.to_dict().items())
    return _parse_config({"cfg": text}, name)


CONFIGS = sorted(path for path in (Path(__file__).parents[2] / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_checkpoint_of_each_shipped_config_is_accepted(path: Path) -> None:
    cfg = load_config(path)
    infer_fields(cfg, ("cat", "dog"))
    cfg = _as_read_from_checkpoint(cfg, path.name)
    assert find_test_pipeline(cfg)
    _ensure_data_only(cfg, path.name)


FAMILIES = [
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", "retinanet/retinanet_r50_fpn_1x_coco.py",
    "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py", "atss/atss_r50_fpn_dyhead_1x_coco.py",
    "yolox/yolox_s_8xb8-300e_coco.py", "detr/detr_r50_8xb2-150e_coco.py",
    "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
    "dino/dino-4scale_r50_8xb2-12e_coco.py",
    "rtmdet/rtmdet_tiny_8xb32-300e_coco.py", "tood/tood_r50_fpn_1x_coco.py",
    "efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco.py",
    "fpg/faster-rcnn_r50_fpg_crop640-50e_coco.py",
    "centernet/centernet_r18_8xb16-crop512-140e_coco.py",
    "dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py",
    "cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py",
]
# Models of mmdet's zoo that are rejected, and why.
REJECTED = {
    **dict.fromkeys(["BaseReID", "ByteTrack", "DeepSORT", "Mask2FormerVideo", "MaskTrackRCNN",
                     "OCSORT", "QDTrack", "StrongSORT"], "trackers"),
    **dict.fromkeys(["GLIP", "GroundingDINO"], "download a language model"),
    "CLRNet": "detects lanes, not boxes",
    "Detectron2Wrapper": "builds a config of another library",
    "KnowledgeDistillationSingleStageDetector": "executes a teacher's config",
    "LAD": "unpickles a teacher",
}


def _rejection(path: Path) -> str | None:
    """The error for a checkpoint of a config of mmdet's zoo; None if it is accepted."""
    try:
        cfg = Config.fromfile(path, import_custom_modules=False)
    except (FileNotFoundError, ModuleNotFoundError):
        return None  # its base is in a package that is not installed
    if cfg.get("custom_imports"):
        return None  # its types are in a package that is not installed
    if not isinstance(cfg.get("model"), dict) or "type" not in cfg.model:
        return None
    try:
        _ensure_data_only(_as_read_from_checkpoint(cfg, path.name), path.name)
    except WeightsError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", FAMILIES)
def test_checkpoint_of_an_mmdet_family_is_accepted(name: str) -> None:
    assert _rejection(ZOO / name) is None


@pytest.mark.slow
def test_checkpoints_of_all_mmdet_configs_are_accepted_except_listed_ones() -> None:
    paths = [path for path in sorted(ZOO.rglob("*.py")) if "_base_" not in path.parts]
    assert len(paths) > 700
    rejected = {path: error for path in paths if (error := _rejection(path)) is not None}
    unexpected = {path.relative_to(ZOO): error for path, error in rejected.items()
                  if not any(f"model.type: got '{name}'" in error for name in REJECTED)}
    assert not unexpected
    names = {name for name in REJECTED for error in rejected.values() if f"got '{name}'" in error}
    # Trackers need the base configs of packages that may be missing.
    assert names >= {"GLIP", "GroundingDINO", "Detectron2Wrapper"}
