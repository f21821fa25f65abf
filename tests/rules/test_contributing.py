"""CONTRIBUTING.md is correct: its backbone is ten lines, and builds a detector."""

import ast
import importlib.util
import re
import sys

import pytest
import torch
from mmengine.registry import init_default_scope
from test_configs import CLASSES, narrow, two_images

from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.registry import MODELS

MODULE = "detkit.models.backbones.my_backbone"


@pytest.fixture(scope="module")
def text(repository):
    return (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def code(text):
    block, = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return block


@pytest.fixture
def imported(code, tmp_path):
    """The code as a module, as ``backbones/__init__.py`` would import it; forgotten afterwards."""
    path = tmp_path / "my_backbone.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(MODULE, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[MODULE]
        MODELS.module_dict.pop("MyBackbone", None)


def test_the_backbone_is_ten_lines_and_meets_our_rules(code):
    tree = ast.parse(code)
    assert ast.get_docstring(tree)  # as every file of the package
    imports = (ast.Import, ast.ImportFrom, ast.Expr)
    rest = [node for node in tree.body if not isinstance(node, imports)]
    lines = [ast.get_source_segment(code, node) for node in rest]
    decorators = sum(len(node.decorator_list) for node in rest)
    num_lines = sum(len([line for line in part.splitlines() if line.strip()]) for part in lines)
    assert num_lines + decorators <= 10
    assert max(map(len, code.splitlines())) <= 100


def test_the_file_is_imported_where_the_document_says(text, repository):
    assert f"from {MODULE} import MyBackbone" in text
    assert (repository / "detkit/models/backbones/__init__.py").is_file()
    assert "detkit.models" in MODELS._locations


@pytest.mark.parametrize("top", ["cascade_swin.py",
                                 "faster_rcnn/faster-rcnn_swin-t_fpn_1x_coco.py"])
def test_the_backbone_becomes_a_detector_over_the_bases(top, text, imported, repository, tmp_path):
    model_line, = re.findall(r"`(model = dict\(.*?\))`", text)
    config = repository / "configs" / top
    source = config.read_text(encoding="utf-8")
    bases = re.search(r"^_base_ = (\[.*?\])", source, re.DOTALL | re.MULTILINE).group(1)
    base_paths = [str(config.parent / base) for base in ast.literal_eval(bases)]
    path = tmp_path / "mine.py"
    path.write_text(f"_base_ = {base_paths!r}\n{model_line}\n", encoding="utf-8")

    cfg = load_config(path)
    narrow(cfg.model)
    infer_fields(cfg, CLASSES)
    assert cfg.model.neck.in_channels == list(imported.MyBackbone.feature_channels)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    assert isinstance(model.backbone, imported.MyBackbone)

    levels = model.backbone(torch.zeros(2, 3, 64, 64))
    assert [level.shape[1] for level in levels] == list(model.backbone.feature_channels)
    assert [64 // level.shape[-1] for level in levels] == list(model.backbone.feature_strides)
    model.train()
    total, _ = model.parse_losses(model(**two_images(model, True), mode="loss"))
    total.backward()
    assert torch.isfinite(total)
    assert not [key for key, weight in model.named_parameters() if weight.grad is None]
