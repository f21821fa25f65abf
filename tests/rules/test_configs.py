"""Every config under configs/ loads, shows its model, and builds a model that takes a step."""

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
FILES = {str(path.relative_to(FOLDER)): path for path in sorted(FOLDER.rglob("*.py"))
         if "_base_" not in path.relative_to(FOLDER).parts}


def base_files(path):
    """The files that a config inherits from."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_base_":
            names = ast.literal_eval(node.value)
            return [(path.parent / name).resolve()
                    for name in ([names] if isinstance(names, str) else names)]
    return []


# A second name of a config: it inherits from that config and has nothing else.
ALIASES = {name: base_files(path)[0] for name, path in FILES.items()
           if base_files(path) and "_base_" not in base_files(path)[0].parts}
CONFIGS = {name: path for name, path in FILES.items() if name not in ALIASES}
# The top-level names, which documents and users have, and which name the work dir.
SHORT_NAMES = """
    cascade_convnextv2 cascade_convnextv2_dcn cascade_convnextv2_nano cascade_efficientnet
    cascade_efficientnet_nano cascade_r50_dcn cascade_swin cascade_swin_nano classify_convnextv2
    classify_convnextv2_nano classify_efficientnet classify_efficientnet_nano
    classify_efficientnet_nano_balanced classify_swin classify_swin_nano classify_teaching
    classify_timm deformable_detr_swin detr_swin efficientdet_d0 faster_convnextv2
    faster_efficientnet faster_swin quickstart timm_coatnet timm_densenet121 timm_resnext50
    timm_seresnet50 vitdet_cascade
""".split()
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
AS_WRITTEN = [pytest.param(name, marks=pytest.mark.slow) if "coatnet" in name else name
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
        for key in ("init_cfg", "weights"):  # nothing is downloaded
            backbone.pop(key, None)
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
def test_config_header_shows_the_model_and_how_to_train_it(name):
    text = ast.get_docstring(ast.parse(CONFIGS[name].read_text(encoding="utf-8"))) or ""
    assert text.splitlines()[0].endswith(".")
    parts = ["Backbone", "Head"] if name in CLASSIFIERS else ["Backbone", "Neck", "Heads"]
    words = re.findall(r"^(\w+):\s+\S", text, re.MULTILINE)
    assert words == [*parts, "Schedule", "Data", "Expected", "Cost", "Run", "Paper"]
    assert "TODO" not in text
    argv = shlex.split(re.search(r"^Run:\s+(.*)$", text, re.MULTILINE).group(1))
    index = next(index for index, word in enumerate(argv) if word.startswith("tools/"))
    command = Path(argv[index]).stem
    assert command in COMMANDS
    args = build_parser(command, command).parse_args(argv[index + 1:])
    config = Path(args.config).relative_to("configs")
    assert ALIASES.get(str(config), FOLDER / config) == CONFIGS[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_config_header_agrees_with_the_config(name):
    """The numbers of the header that a reader compares models by."""
    cfg = load_config(CONFIGS[name])
    text = ast.get_docstring(ast.parse(CONFIGS[name].read_text(encoding="utf-8")))
    lines = dict(re.findall(r"^(\w+):\s+(.*)$", text, re.MULTILINE))
    assert int(re.match(r"\d+", lines["Schedule"]).group()) == cfg.train_cfg.max_epochs
    assert cfg.optim_wrapper.optimizer.type in lines["Schedule"]
    rate, = re.findall(r" lr (\S+?)[,\s]", lines["Schedule"] + ",")
    assert float(rate) == cfg.optim_wrapper.optimizer.lr
    decay = re.findall(r"decay ([\d.]+)", lines["Schedule"])
    assert decay == [str(rate) for key, rate in cfg.optim_wrapper.paramwise_cfg.items()
                     if key == "decay_rate"] if "paramwise_cfg" in cfg.optim_wrapper else not decay
    hooks = [hook.type for hook in cfg.get("custom_hooks") or []]
    assert ("EMA" in lines["Schedule"]) == ("EMAHook" in hooks)
    batch = re.search(r"([\d,]+) images a step", lines["Schedule"]).group(1).replace(",", "")
    assert int(batch) == cfg.auto_scale_lr.base_batch_size
    channels = re.findall(r"(\d+) channels", lines.get("Neck", ""))
    assert channels == ([str(cfg.model.neck.out_channels)] if "neck" in cfg.model else [])
    drop_path = re.findall(r"drop path ([\d.]+)", lines["Backbone"])
    assert not drop_path or float(drop_path[0]) == cfg.model.backbone.drop_path_rate
    assert re.findall(r"\d\.\d", lines.get("Heads", "")) == [
        str(stage.assigner.pos_iou_thr) for stage in cfg.model.get("train_cfg", {}).get("rcnn", [])
        if cfg.model.type == "CascadeRCNN"]


@pytest.mark.parametrize("name", CONFIGS)
def test_config_inherits_from_base_files_only(name):
    assert base_files(CONFIGS[name])
    for base in base_files(CONFIGS[name]):
        assert base.is_file() and base.is_relative_to(FOLDER / "_base_")
        # A base may state what differs from one other base of its folder, which inherits nothing.
        for parent in base_files(base):
            assert parent.is_file() and parent.parent == base.parent and not base_files(parent)


@pytest.mark.parametrize("name", ALIASES)
def test_alias_names_its_config_and_loads_the_same(name):
    target = ALIASES[name]
    assert target in CONFIGS.values()
    text = FILES[name].read_text(encoding="utf-8")
    docstring, base = ast.parse(text).body
    assert str(target.relative_to(FOLDER)) in docstring.value.value
    assert load_config(FILES[name]).to_dict() == load_config(target).to_dict()


def test_short_names_and_one_family_folder_for_each_config():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SHORT_NAMES)
    families = {Path(name).parent.name for name in FILES} - {""}
    assert families == {"cascade_rcnn", "faster_rcnn", "detr", "efficientdet", "classification"}
    reachable = {path.resolve() for path in FOLDER.glob("*.py")} | set(ALIASES.values())
    assert set(CONFIGS.values()) <= reachable


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
        side = 128 if "128px" in name or "nano" in name else 224
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
    if cfg.model.type == "CascadeRCNN":
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
