"""Every config under configs/ loads, says what it is, and builds a model that takes a step."""

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from PIL import Image

from detkit.cli.main import COMMANDS, build_parser
from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.config.task import is_classifier
from detkit.registry import DATASETS, MODELS
from detkit.structures.data_sample import DataSample

FOLDER = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = {str(path.relative_to(FOLDER)): path for path in sorted(FOLDER.rglob("*.py"))
           if "_base_" not in path.relative_to(FOLDER).parts}
CLASSIFIERS = {name: path for name, path in CONFIGS.items() if is_classifier(load_config(path))}
DETECTORS = {name: path for name, path in CONFIGS.items() if name not in CLASSIFIERS}
CLASSES = ("cat", "dog", "ant")
SIDE = 64
# The smallest backbone of the kind for the given one; with it the heads' widths go down.
SMALLEST = {
    "SwinTransformer": {"arch": "micro"},
    "ConvNeXtV2": {"arch": "atto"},
    "EfficientNet": {"arch": "micro"},
    "ResNet": {"base_channels": 8, "stem_channels": 8},
    "TimmNetwork": {"name": "test_resnet", "pretrained": False},
    "ClassicNetwork": {},
}
# Its published size takes a quarter of a minute to build.
AS_WRITTEN = [pytest.param(name, marks=pytest.mark.slow) if name == "timm_coatnet.py" else name
              for name in DETECTORS]
SMALLEST_OF_TIMM = {"vit": "test_vit", "resnext": "test_resnet", "seresnet": "test_resnet",
                    "densenet": "densenet121", "coatnet": "coatnet_pico_rw_224"}
NARROW = {"fc_out_channels": 32, "max_per_img": 50, "nms_pre": 100}


def tiny_model(path):
    """The config's model, made as a run makes it, at a size that takes a second."""
    cfg = load_config(path)
    backbone = cfg.model.backbone
    if backbone.type == "TimmBackbone":
        small = next(name for start, name in SMALLEST_OF_TIMM.items()
                     if backbone.name.startswith(start))
        backbone.update(name=small, pretrained=False)
    else:
        backbone.update(SMALLEST[backbone.type])
        backbone.pop("init_cfg", None)  # nothing is downloaded
    narrow(cfg.model)
    infer_fields(cfg, CLASSES)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    # mmdet's heads leave some parameters as the memory was, until this sets them.
    model.init_weights()
    return model


def narrow(part):
    for item in part.values() if isinstance(part, dict) else part:
        if isinstance(item, (dict, list)):
            narrow(item)
    if isinstance(part, dict):
        part.update({key: value for key, value in NARROW.items() if key in part})


def two_images(model, training):
    """Two images of 64 x 64 pixels, one with an object and one without, as a model takes them."""
    samples = []
    for boxes in (torch.tensor([[8.0, 8, 56, 56]]), torch.zeros(0, 4)):
        sample = DetDataSample(metainfo={
            "img_shape": (SIDE, SIDE), "ori_shape": (SIDE, SIDE), "scale_factor": (1.0, 1.0),
            "img_id": len(samples)})
        sample.gt_instances = InstanceData(
            bboxes=HorizontalBoxes(boxes), labels=torch.ones(len(boxes), dtype=torch.int64))
        samples.append(sample)
    ramp = torch.arange(3 * SIDE * SIDE).reshape(3, SIDE, SIDE).remainder(256).to(torch.uint8)
    return model.data_preprocessor({"inputs": [ramp, 255 - ramp], "data_samples": samples},
                                   training)


def class_batch(model, training):
    """The two images as a classifier takes them, the second of the second class."""
    ramp = torch.arange(3 * SIDE * SIDE).reshape(3, SIDE, SIDE).remainder(256).to(torch.uint8)
    samples = [DataSample(gt_label=torch.tensor(label)) for label in (0, 1)]
    return model.data_preprocessor({"inputs": [ramp, 255 - ramp], "data_samples": samples},
                                   training)


def test_there_are_configs():
    assert len(DETECTORS) >= 20 and len(CLASSIFIERS) >= 8


@pytest.mark.parametrize("name", CONFIGS)
def test_config_opens_with_what_it_is(name):
    text = ast.get_docstring(ast.parse(CONFIGS[name].read_text(encoding="utf-8"))) or ""
    assert text.splitlines()[0].endswith(".")
    for word in ("Expected:", "Cost:", "Run:", "Paper:"):
        assert re.search(rf"^{word}\s+\S", text, re.MULTILINE), word
    assert "TODO" not in text
    argv = shlex.split(re.search(r"^Run:\s+(.*)$", text, re.MULTILINE).group(1))
    index = next(index for index, word in enumerate(argv) if word.startswith("tools/"))
    command = Path(argv[index]).stem
    assert command in COMMANDS
    build_parser(command, command).parse_args(argv[index + 1:])
    assert f"configs/{name}" in argv


@pytest.mark.parametrize("name", CONFIGS)
def test_config_inherits_one_level_only(name):
    def bases(path):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and node.targets[0].id == "_base_":
                base_files = ast.literal_eval(node.value)
                return [
                    path.parent / item
                    for item in ([base_files] if isinstance(base_files, str) else base_files)
                ]
        return []

    assert bases(CONFIGS[name])
    for base in bases(CONFIGS[name]):
        assert base.is_file() and not bases(base), base


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_config_builds_takes_a_step_and_predicts(name):
    model = tiny_model(CONFIGS[name])
    assert model.head.num_classes == len(CLASSES)
    model.train()
    total, _ = model.parse_losses(model(**class_batch(model, True), mode="loss"))
    assert torch.isfinite(total) and total > 0
    total.backward()
    assert not [key for key, weight in model.named_parameters()
                if weight.requires_grad and weight.grad is None]

    model.eval()
    with torch.no_grad():
        found = model(**class_batch(model, False), mode="predict")
    scores = torch.stack([sample.pred_scores for sample in found])
    assert scores.shape == (2, len(CLASSES)) and torch.isfinite(scores).all()
    assert torch.allclose(scores.sum(1), torch.ones(2), atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_pipeline_output_has_the_configured_size(name, tmp_path):
    cfg = load_config(CONFIGS[name])
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        image = Image.fromarray(np.arange(90 * 70 * 3).reshape(90, 70, 3).astype(np.uint8))
        image.save(tmp_path / label / "one.png")
    init_default_scope(cfg.default_scope)
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.update(data_root=str(tmp_path), data_prefix=dict(img=""))
        dataset = DATASETS.build(loader.dataset)
        side = 128 if "nano" in name else 224
        assert len(dataset) == 2 and dataset[1]["inputs"].shape == (3, side, side)
        assert dataset[1]["inputs"].dtype == torch.uint8
        assert int(dataset[1]["data_samples"].gt_label) == 1


@pytest.mark.parametrize("name", AS_WRITTEN)
def test_config_builds_as_it_is_written(name):
    cfg = load_config(CONFIGS[name])
    infer_fields(cfg, CLASSES)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    heads = model.roi_head.bbox_head if hasattr(model, "roi_head") else model.bbox_head
    heads = list(heads) if hasattr(heads, "__len__") else [heads]
    assert [head.num_classes for head in heads] == [len(CLASSES)] * len(heads)
    if "cascade" in name:
        thresholds = [stage.assigner.pos_iou_thr for stage in cfg.model.train_cfg.rcnn]
        assert thresholds == [0.5, 0.6, 0.7] and len(heads) == 3


@pytest.mark.parametrize("name", DETECTORS)
def test_config_builds_takes_a_step_and_predicts(name):
    model = tiny_model(CONFIGS[name])
    model.train()
    total, parts = model.parse_losses(model(**two_images(model, True), mode="loss"))
    assert torch.isfinite(total) and total > 0
    assert len([key for key in parts if "loss" in key]) >= (4 if hasattr(model, "roi_head") else 2)
    total.backward()
    assert not [key for key, weight in model.named_parameters()
                if weight.requires_grad and weight.grad is None]

    model.eval()
    with torch.no_grad():
        found = model(**two_images(model, False), mode="predict")
    assert len(found) == 2
    for sample in found:
        boxes, labels = sample.pred_instances.bboxes, sample.pred_instances.labels
        assert boxes.shape == (len(labels), 4) and torch.isfinite(boxes).all()
        assert ((boxes >= 0) & (boxes <= SIDE)).all() and (labels < len(CLASSES)).all()
