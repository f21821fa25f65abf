"""Training steps that mix images get the images and masks that they need, or are refused."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config

from detkit.config.data.mixing_check import cached_mixing_steps, check_mixing
from detkit.errors import ConfigError
from detkit.registry import import_mmdet

LOAD = [dict(type="LoadImage"), dict(type="LoadAnnotations", with_bbox=True)]
MASKS = [LOAD[0], dict(type="LoadAnnotations", with_bbox=True, with_mask=True)]
COCO: dict[str, Any] = dict(type="CocoDataset", pipeline=LOAD)


def _mix(*pipeline: dict[str, Any], load: Any = (), **args: Any) -> dict[str, Any]:
    return dict(type="MultiImageMixDataset", dataset=dict(COCO, pipeline=load or LOAD),
                pipeline=list(pipeline), **args)


def _config(dataset: dict[str, Any], *hooks: dict[str, Any]) -> Config:
    import_mmdet()
    return Config(dict(train_dataloader=dict(dataset=dataset), custom_hooks=list(hooks)))


MOSAIC, PASTE = dict(type="Mosaic"), dict(type="CopyPaste")
VALID = {
    "plain": COCO,
    "mosaic": _mix(MOSAIC, dict(type="mmdet.MixUp"), skip_type_keys=["Mosaic"]),
    "repeated": dict(type="RepeatDataset", times=2, dataset=_mix(dict(type="CopyPasteBoxes"))),
    "cached": dict(COCO, pipeline=[*LOAD, dict(type="CachedMosaic")]),
    "cached in a choice": dict(COCO, pipeline=[
        *LOAD, dict(type="RandomApply", transforms=[dict(type="CachedMosaic")])]),
    "masks": _mix(PASTE, load=MASKS),
    "boxes as masks": _mix(dict(PASTE, paste_by_box=True)),
}


@pytest.mark.parametrize("dataset", VALID.values(), ids=VALID)
def test_valid_pipelines_pass(dataset: dict[str, Any]) -> None:
    check_mixing(_config(dataset))


INVALID = {
    "no second image": (dict(COCO, pipeline=[*LOAD, MOSAIC]),
                        r"dataset.pipeline\[2\]: Mosaic mixes several.*MultiImageMixDataset"),
    "in the inner pipeline": (_mix(load=[*LOAD, dict(type="MixUp")]),
                              r"dataset.dataset.pipeline\[2\]: MixUp mixes several"),
    "inside of a step": (_mix(dict(type="RandomApply", transforms=[MOSAIC])),
                         r"pipeline\[0\].transforms\[0\]: Mosaic is inside of another step"),
    "skipped name": (_mix(MOSAIC, skip_type_keys=["Mosiac"]), "did you mean 'Mosaic'"),
    "no masks": (_mix(PASTE), "CopyPaste needs instance masks.*CopyPasteBoxes"),
    "base class": (dict(COCO, pipeline=[*LOAD, dict(type="ColorTransform")]),
                   "ColorTransform changes nothing.*Brightness"),
}


@pytest.mark.parametrize(("dataset", "message"), INVALID.values(), ids=INVALID)
def test_invalid_pipeline_is_refused(dataset: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_mixing(_config(dataset))


def test_masks_are_refused_for_data_with_boxes_only() -> None:
    with pytest.raises(ConfigError, match=r"pipeline\[1\].with_mask: got True and --data"):
        check_mixing(_config(dict(COCO, pipeline=MASKS)), has_masks=False)


def test_pipeline_of_a_switch_is_checked() -> None:
    hook = dict(type="PipelineSwitchHook", switch_epoch=1, switch_pipeline=[MOSAIC])
    check_mixing(_config(_mix(MOSAIC), hook))
    with pytest.raises(ConfigError, match=r"custom_hooks\[0\].switch_pipeline\[0\]: Mosaic"):
        check_mixing(_config(COCO, hook))


def test_cached_steps_that_a_resumed_run_does_not_repeat() -> None:
    assert cached_mixing_steps(_config(VALID["mosaic"])) == []
    assert cached_mixing_steps(_config(VALID["cached in a choice"])) == ["CachedMosaic"]
