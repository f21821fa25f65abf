"""img_size of models of timm that take one image size follows from the pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from detkit.config.infer.fixed_image_size import get_largest_side
from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config


def loaders(*pipelines: Any) -> dict[str, Any]:
    names = ("train_dataloader", "val_dataloader", "test_dataloader")
    return {name: dict(dataset=dict(pipeline=list(steps)))
            for name, steps in zip(names, pipelines)}


def resize(*scale: int) -> dict[str, Any]:
    return dict(type="Resize", scale=scale, keep_ratio=True)


JITTER = dict(type="RandomResize", scale=(320, 320), ratio_range=(0.75, 1.5), keep_ratio=True)


@pytest.mark.parametrize(("cfg", "side"), [
    ({}, None),
    (loaders([dict(type="LoadImage")]), None),
    (loaders([resize(1333, 800)]), 1333),
    (loaders([resize(320, 320)], [resize(400, 300)]), 400),
    (loaders([JITTER]), 480),  # 1.5 x 320
    (loaders([JITTER, dict(type="RandomCrop", crop_size=(256, 320))]), 320),
    (loaders([resize(200, 200), dict(type="RandomCrop", crop_size=(256, 320))]), 200),
    (loaders([dict(type="RandomCrop", crop_size=(0.5, 0.5), crop_type="relative")]), None),
    (loaders([dict(type="RandomChoiceResize", scales=[(480, 1333), (800, 1300)])]), 1333),
    (loaders([resize(100, 90), dict(type="Pad", size=(128, 64))]), 128),
    (loaders([dict(type="Mosaic", img_scale=(320, 320)), resize(320, 320)]), 320),
    (loaders([dict(type="Mosaic", img_scale=(320, 320))]), 640),
    # The wrapped dataset's steps come first.
    ({"train_dataloader": dict(dataset=dict(pipeline=[dict(type="Mosaic", img_scale=(320, 320))],
                                            dataset=dict(pipeline=[resize(64, 64)])))}, 640),
    (loaders([resize(64, 64)], [dict(type="LoadImage")]), None),
], ids=["no loaders", "no size", "keep_ratio", "largest of two", "jitter", "jitter and crop",
        "crop larger than the image", "relative crop", "choice", "pad", "mosaic and resize",
        "mosaic", "wrapper", "one unknown"])
def test_largest_side_of_the_pipelines(cfg: dict[str, Any], side: int | None) -> None:
    assert get_largest_side(cfg) == side


@pytest.mark.parametrize(("name", "given", "expected"), [
    ("test_vit_relpos", {}, 256),  # the config's 250 pixels, and multiples of 32 and 16
    ("test_vit_relpos", {"img_size": 512}, 512),
    ("test_vit_relpos", {"img_size": [512, 256]}, [512, 256]),
    ("test_vit", {}, None),  # takes any size
], ids=["inferred", "given", "given pair", "any size"])
def test_img_size_is_set_for_a_model_of_one_size(
    repository: Path, name: str, given: dict[str, Any], expected: Any
) -> None:
    side = dict(type="Resize", scale=(250, 250), keep_ratio=True)
    cfg = Config({**load_config(repository / "configs" / "cascade_swin_nano.py", {
        "model.backbone": dict(_delete_=True, type="TimmBackbone", name=name, **given),
    }).to_dict(), **loaders([side])})
    cfg.val_dataloader = cfg.test_dataloader = None
    infer_fields(cfg, None)
    found = cfg.model.backbone.get("img_size")
    assert (list(found) if isinstance(found, (list, tuple)) else found) == expected
