"""The config in a checkpoint cannot run code, load a pickle or open a URL.

Every payload would create the folder ``hit`` in the working directory.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import thumbnail_checkpoint
import torch
from mmdet.models.necks import FPN
from mmengine.config import Config

from detkit import Predictor
from detkit.cli.main import run_command
from detkit.config.validate.embedded_config import ensure_safe_model
from detkit.engine.load_model import load_model
from detkit.engine.results import TrainResult
from detkit.engine.run import train
from detkit.errors import WeightsError
from detkit.inference.export.eval_split import load_split
from detkit.registry import MODELS
from detkit.trust import TRUST_NOTICE, trust_enabled, trust_files

PREPROCESSOR = thumbnail_checkpoint.CONFIG.split("backbone=")[0].split("type='CascadeRCNN',")[1]
BUILT = thumbnail_checkpoint.CONFIG
ANCHORS = BUILT[BUILT.index("dict(\n            type='AnchorGenerator'"):
                BUILT.index(",\n        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),")]
MODEL = BUILT[BUILT.index("model = "):BUILT.index("test_dataloader")]
ONE_STAGE = """model = dict(
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='FPN', in_channels=[64, 128, 256, 512], out_channels=8, num_outs=5),
    bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=8),
    type='{}')
"""
KD = """KnowledgeDistillationSingleStageDetector',
    teacher_config='teacher.py', teacher_ckpt='evil.pth"""
LAD = """LAD',
    teacher_backbone=dict(type='ResNet', depth=18),
    teacher_neck=dict(type='FPN', in_channels=[64, 128, 256, 512], out_channels=8, num_outs=5),
    teacher_bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=8),
    teacher_ckpt='evil.pth"""
RESIZE = "dict(type='Resize', scale=(96, 96), keep_ratio=True)"
HIT = "__import__('os').mkdir('hit')"


class CodeRunner:
    """Creates the folder when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("hit",)


@pytest.fixture(scope="session")
def thumbnail(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Content of the thumbnail detector's checkpoint."""
    path = tmp_path_factory.mktemp("thumbnail") / "model.pth"
    content: dict[str, Any] = torch.load(
        thumbnail_checkpoint.save_thumbnail(path), weights_only=True)
    return content


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the payloads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "hitting"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("hitting", "hitting.registry"):
        sys.modules.pop(name, None)
    (package / "registry.py").write_text("import os; os.mkdir('hit')")
    (tmp_path / "teacher.py").write_text("import os; os.mkdir('hit'); model = dict()")
    torch.save({"state_dict": CodeRunner()}, tmp_path / "evil.pth")
    return tmp_path


def _saved(thumbnail: dict[str, Any], *changes: tuple[str, str], **more: Any) -> Path:
    """Save the checkpoint with parts of its config text replaced."""
    text = thumbnail_checkpoint.CONFIG
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    torch.save({**thumbnail, **more, "meta": {**thumbnail["meta"], "cfg": text}}, "file.pth")
    return Path("file.pth")


# Changes of the config, and the expected path and value in the message.
UNSAFE_MODELS = {
    "preprocessor": (
        [(PREPROCESSOR, "\n    "),
         ("model = ", "data_preprocessor = dict(type='os.mkdir', path='hit')\nmodel = ")],
        "model.data_preprocessor.type: got 'os.mkdir'"),
    "eval": (
        [(ANCHORS, f"dict(type='CameraMotionCompensation', warp_mode={HIT!r})")],
        "model.rpn_head.anchor_generator.type: got 'CameraMotionCompensation'"),
    "pickle": (
        [(ANCHORS, "dict(type='AppearanceFreeLink', checkpoint='evil.pth')")],
        "model.rpn_head.anchor_generator.type: got 'AppearanceFreeLink'"),
    "teacher config": (
        [(MODEL, ONE_STAGE.format(KD))],
        "model.type: got 'KnowledgeDistillationSingleStageDetector'"),
    "teacher weights": (
        [(MODEL, ONE_STAGE.format(LAD))],
        "model.type: got 'LAD'"),
    "scope": (
        [("default_scope = 'detkit'", "default_scope = 'hitting'")],
        "default_scope: got 'hitting'"),
    "inner scope": (
        [("use_sigmoid=True", "use_sigmoid=True, _scope_='hitting'")],
        "model.rpn_head.loss_cls._scope_: got 'hitting'"),
    "padding": (
        [("type='FPN',", "type='FPN', conv_cfg=dict(type='Conv2d', padding_mode='os.mkdir'),")],
        "model.neck.conv_cfg.padding_mode: got 'os.mkdir'"),
    "nms": (
        [("nms=dict(type='nms', iou_threshold=0.5)", f"nms=dict(type={HIT!r})")],
        "model.test_cfg.rcnn.nms.type: got"),
    "number as type": (
        [("type='FPN',", "type=5,")], "model.neck.type: got 5"),
    "URL": (
        [("type='FPN',", "type='FPN', upsample_cfg=dict(mode='http://127.0.0.1:9/x'),")],
        "model.neck.upsample_cfg.mode: got 'http://127.0.0.1:9/x'"),
    "path": (
        [("type='FPN',", "type='FPN', upsample_cfg=dict(mode='~/x'),")],
        "model.neck.upsample_cfg.mode: got '~/x'"),
    "key of a dict": (
        [("type='FPN',", "type='FPN', upsample_cfg={1: 2},")],
        "model.neck.upsample_cfg: got a key of the type int"),
}


@pytest.mark.parametrize("name", UNSAFE_MODELS)
def test_unsafe_model_is_rejected_before_it_is_built(
    thumbnail: dict[str, Any], name: str
) -> None:
    changes, message = UNSAFE_MODELS[name]
    with pytest.raises(WeightsError) as error:
        load_model(_saved(thumbnail, *changes), "cpu")
    assert not Path("hit").exists()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


STEP = "dict(type='os.mkdir', path='hit')"
STEPS = {
    "plain": STEP,
    "random apply": f"dict(type='RandomApply', transforms=[{STEP}])",
    "random choice": f"dict(type='RandomChoice', transforms=[[{RESIZE}], [{STEP}]])",
    "test time augmentation": f"dict(type='TestTimeAug', transforms=[[{STEP}]])",
    "branches": f"dict(type='MultiBranch', branch_field=['a'], a=[{STEP}])",
    "torchvision": f"dict(type='torchvision/RandomApply', transforms=[{STEP}])",
    "resize type": "dict(type='RandomResize', scale=(9, 9), resize_type='os.mkdir', path='hit')",
    "scope": "dict(type='Pad', size_divisor=32, _scope_='hitting')",
    "albumentations": "dict(type='Albu', transforms=[])",
}


@pytest.mark.parametrize("step", STEPS)
def test_unsafe_pipeline_step_is_rejected_before_it_is_built(
    thumbnail: dict[str, Any], step: str
) -> None:
    with pytest.raises(WeightsError, match=r"test_dataloader\.dataset\.pipeline\[1\]"):
        Predictor(_saved(thumbnail, (RESIZE, STEPS[step])), "cpu")
    assert not Path("hit").exists()


def test_init_cfg_of_a_checkpoint_config_is_ignored(thumbnail: dict[str, Any]) -> None:
    file = _saved(thumbnail, ("type='ResNet',", "type='ResNet', pretrained='http://127.0.0.1:9/x', "
                              "init_cfg=dict(type='Pretrained', checkpoint='/gone/evil.pth'),"))
    loaded = load_model(file, "cpu")
    assert loaded.cfg.model.backbone.init_cfg is None
    assert loaded.cfg.model.backbone.pretrained is None


def _coco() -> dict[str, Any]:
    content = {"images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
               "categories": [{"id": 1, "name": "car"}],
               "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4],
                                "area": 16, "iscrowd": 0}]}
    Path("coco.json").write_text(json.dumps(content))
    return {"type": "CocoDataset", "ann_file": "coco.json", "metainfo": {"classes": ("car",)},
            "data_prefix": {"img": "images"}}


def test_dataset_in_coco_format_is_read() -> None:
    split = load_split(Config({"val_dataloader": {"dataset": {
        **_coco(), "backend_args": {"backend": "http"}}}}), "val")
    assert [image.image_id for image in split.records] == [1]


@pytest.mark.parametrize(("change", "where"), [
    ({"proposal_file": "evil.pkl"}, "proposal_file"),
    ({"type": "hitting.registry.Any"}, "type"),
    ({"type": "OpenImagesDataset"}, "type"),
    ({"ann_file": "http://127.0.0.1:9/coco.json"}, "ann_file"),
], ids=["pickle", "import", "not listed", "URL"])
def test_unsafe_dataset_is_rejected(change: dict[str, Any], where: str) -> None:
    Path("evil.pkl").write_bytes(pickle.dumps(CodeRunner()))
    cfg = Config({"val_dataloader": {"dataset": {**_coco(), **change}}})
    with pytest.raises(WeightsError, match=rf"val_dataloader\.dataset\.{where}"):
        load_split(cfg, "val")
    assert not Path("hit").exists()


def _classifier(pooling: str) -> Config:
    return Config({"model": {"type": "ImageClassifier",
                             "backbone": {"type": "ClassicNetwork", "name": "lenet5"},
                             "pooling": {"type": pooling},
                             "head": {"type": "LinearClsHead", "in_channels": 84,
                                      "num_classes": 2}}})


@pytest.mark.parametrize("pooling", ["GlobalAveragePooling", "detkit.GlobalAveragePooling"])
def test_type_that_hides_an_unlisted_mmdet_type_is_accepted(pooling: str) -> None:
    ensure_safe_model(_classifier(pooling), "file.pth")


@pytest.mark.parametrize("change", [
    {"model.pooling.type": "mmdet.GlobalAveragePooling"}, {"default_scope": "mmdet"},
    {"model.pooling._scope_": "mmdet"}, {"model._scope_": "mmdet"},
], ids=["scope in the type", "default scope", "scope of the component", "scope around it"])
def test_unlisted_mmdet_type_is_rejected_where_it_would_be_built(change: dict[str, str]) -> None:
    cfg = _classifier("GlobalAveragePooling")
    for component in (cfg.model, cfg.model.backbone, cfg.model.head):
        component.type = f"detkit.{component.type}"
    cfg.merge_from_dict(change)
    with pytest.raises(WeightsError, match=r"model\.pooling\.type: got '.*GlobalAveragePooling'"):
        ensure_safe_model(cfg, "file.pth")


@pytest.fixture
def foreign_type() -> Any:
    """A registered type that is not on the list."""
    name = "NeckOfAnotherLibrary"
    MODELS.register_module(name=name, module=type(name, (FPN,), {"__module__": "another"}))
    yield name
    MODELS._module_dict.pop(name)


def test_type_of_another_library_requires_trust(
    thumbnail: dict[str, Any], foreign_type: str
) -> None:
    file = _saved(thumbnail, ("type='FPN'", f"type='{foreign_type}'"))
    with pytest.raises(WeightsError, match=r"model\.neck\.type: got 'NeckOf.*--trust"):
        load_model(file, "cpu")
    assert type(load_model(file, "cpu", trust=True).model.neck).__name__ == foreign_type
    assert not trust_enabled()
    image = np.zeros((64, 64, 3), np.uint8)
    assert len(Predictor(file, "cpu", trust=True)(image)) >= 0


def test_importable_type_name_is_rejected_even_when_trusted(thumbnail: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match=r"model\.neck\.type: got 'hitting\.registry\.X'"):
        file = _saved(thumbnail, ("type='FPN'", "type='hitting.registry.X'"))
        load_model(file, "cpu", trust=True)
    assert not Path("hit").exists()


def test_pickled_objects_are_loaded_only_with_trust(
    thumbnail: dict[str, Any]
) -> None:
    file = _saved(thumbnail, more=CodeRunner())
    with pytest.raises(WeightsError, match="--trust"):
        load_model(file, "cpu")
    assert not Path("hit").exists()
    load_model(file, "cpu", trust=True)
    assert Path("hit").exists()


def _predict(*more: str) -> int:
    from PIL import Image

    Image.new("RGB", (64, 64)).save("a.png")
    return run_command("predict", ["file.pth", "a.png", "--out", "out", "--engine", "mmdet", *more])


def test_trust_applies_to_one_run_only(
    thumbnail: dict[str, Any], foreign_type: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _saved(thumbnail, ("type='FPN'", f"type='{foreign_type}'"))
    assert _predict("--trust") == 0
    assert TRUST_NOTICE in capsys.readouterr().err
    assert _predict("--force") == 2
    message = capsys.readouterr().err
    assert "model.neck.type" in message and "--trust" in message and TRUST_NOTICE not in message
    assert len([line for line in message.splitlines() if line.startswith("error: ")]) == 1


def test_environment_cannot_enable_unpickling(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(_: Any) -> int:
        with pytest.raises(pickle.UnpicklingError):
            torch.load("evil.pth")
        return 0

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.setattr("detkit.cli.evaluate.run", load)
    assert run_command("evaluate", ["annotations.json", "results.json"]) == 0
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD has no effect" in capsys.readouterr().err
    assert not Path("hit").exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"


def test_trust_is_restored_after_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    with trust_files():
        assert trust_enabled() and "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
        with trust_files(False):
            assert not trust_enabled() and os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "1"
    assert not trust_enabled() and os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "1"


@pytest.mark.parametrize("text", [
    "model = {[1]: 2}", "model = dict(**5)", "model = {[1], 2}",
    "model = " + "[" * 150 + "]" * 150, "model = " + "dict(a=" * 150 + "1" + ")" * 150,
    "model = " + "(" * 9000 + ")" * 9000, "model = 1" + "+1" * 9000, "model = " + "-" * 9000 + "1",
    "model = dict(a=0x" + "f" * 9000 + ")", "model = dict(a=" + "9" * 9000 + ")",
    "model = dict(a=b'x')", "model = dict(a=...)", "model = {**{}}", "a" + ".a" * 9000 + " = 1",
    "model = 1\x00", "model = dict(type='FPN', type=2)",
], ids=lambda text: f"{text[:24]!r}")
def test_invalid_config_text_error_is_one_line(
    thumbnail: dict[str, Any], capsys: pytest.CaptureFixture[str], text: str
) -> None:
    torch.save({**thumbnail, "meta": {**thumbnail["meta"], "cfg": text}}, "file.pth")
    assert _predict() == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: the config in file.pth")
    assert len(lines[0]) < 400


@pytest.mark.parametrize("pipeline", [
    "pipeline=5", "pipeline=['Resize']", "pipeline=[dict(type='Resize', scale='wide')]",
    "pipeline=[dict(type='Resize', scale=(9, 9), keep_ratio=True), dict(type='Pad', size=5)]",
])
def test_invalid_pipeline_error_is_one_line(
    thumbnail: dict[str, Any], capsys: pytest.CaptureFixture[str], pipeline: str
) -> None:
    text = thumbnail_checkpoint.CONFIG.split("pipeline=")[0] + pipeline + "))"
    torch.save({**thumbnail, "meta": {**thumbnail["meta"], "cfg": text}}, "file.pth")
    for more in ([], ["--engine", "torch"]):
        assert _predict(*more) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_resume_does_not_execute_the_config_in_the_checkpoint(
    trained_classifier: tuple[Path, TrainResult]
) -> None:
    config, result = trained_classifier
    content = torch.load(result.work_dir / "epoch_1.pth", weights_only=True)
    content["meta"]["config"] = "import os\nos.mkdir('hit')"
    torch.save(content, "resumed.pth")
    options = {"train_cfg.max_epochs": 2, "train_cfg.val_interval": 2}
    resumed = train(config, work_dir="work", options=options, device="cpu", resume="resumed.pth")
    assert not Path("hit").exists()
    expected, actual = (torch.load(folder / "epoch_2.pth", weights_only=True)["state_dict"]
                        for folder in (result.work_dir, resumed.work_dir))
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
