"""What another library raises becomes one line that names the component of the config."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import tiny_training
from mmengine.config import Config
from mmengine.registry import DefaultScope

from detkit.engine.blame import blame_config
from detkit.engine.check import check_config
from detkit.errors import ConfigError, DataError
from detkit.registry import MODELS, import_mmdet


def _built(cfg: Config) -> None:
    import_mmdet()
    with DefaultScope.overwrite_default_scope("detkit"), blame_config(cfg, "building the model"):
        MODELS.build(cfg.model)


def _config(changes: dict[str, Any]) -> Config:
    cfg = Config.fromstring(tiny_training.CONFIG, ".py")
    cfg.merge_from_dict({"model.neck.in_channels": [16, 32, 64],
                         "model.roi_head.bbox_head.in_channels": 16,
                         "model.roi_head.bbox_head.num_classes": 2,
                         "model.roi_head.bbox_roi_extractor.out_channels": 16,
                         "model.rpn_head.in_channels": 16, **changes})
    return cfg


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ({"model.neck.num_outs": "three"}, "model.neck", "'three'"),
        ({"model.backbone.depth": 19}, "model.backbone", "19"),
        ({"model.rpn_head.anchor_generator.strides": None},
         "model.rpn_head.anchor_generator", "NoneType"),
        ({"model.roi_head.bbox_head.loss_cls.loss_weight": {}, "model.train_cfg.rcnn": 3},
         "model.roi_head", "int"),
    ],
    ids=["a word for a number", "no such depth", "None for a list", "a number for a dict"],
)
def test_the_component_that_cannot_be_built_is_named(
    changes: dict[str, Any], path: str, value: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        _built(_config(changes))
    line = str(caught.value)
    assert line.startswith(f"{path}") and value in line and "\n" not in line


def test_of_several_alike_the_wrong_one_is_named() -> None:
    head = _config({}).model.roi_head.bbox_head.to_dict()
    heads = [head, {**head, "fc_out_channels": "wide"}]
    extractor = _config({}).model.roi_head.bbox_roi_extractor.to_dict()
    cfg = _config({"model.roi_head": dict(
        _delete_=True, type="CascadeRoIHead", num_stages=2, stage_loss_weights=[1, 1],
        bbox_roi_extractor=extractor, bbox_head=heads)})
    cfg.model.train_cfg.rcnn = [cfg.model.train_cfg.rcnn] * 2
    with pytest.raises(ConfigError, match=r"model\.roi_head\.bbox_head\[1\].*fc_out_channels"):
        _built(cfg)


def test_the_only_value_that_the_message_quotes_is_named() -> None:
    with pytest.raises(ConfigError, match="log_level: starting failed.*'LOUD'"):
        with blame_config({"log_level": "LOUD", "work_dir": "x"}, "starting"):
            raise ValueError("Unknown level: 'LOUD'")


def test_a_hook_that_mmengine_raises_again_for_is_named() -> None:
    class EMAHook:
        def before_run(self) -> None:
            raise TypeError("'<' not supported")

    with pytest.raises(ConfigError, match=r"custom_hooks\[0\]: training failed in EMAHook"):
        with blame_config({"custom_hooks": [{"type": "EMAHook", "momentum": "x"}]}, "training"):
            try:
                EMAHook().before_run()
            except TypeError as error:
                raise TypeError(f"{error} in a hook") from None


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"val_cfg": {"ytpe": "ValLoop"}}, "val_cfg.ytpe.*'type'"),
        ({"train_dataloader": {"batch_size": "2"}}, r"train_dataloader\.batch_size: got '2'"),
        ({"test_dataloader": {"num_workers": -1}}, r"test_dataloader\.num_workers: got -1"),
        ({"val_dataloader": {"batch_size": True}}, r"val_dataloader\.batch_size: got True"),
    ],
    ids=["type misspelt", "a word", "negative", "a truth value"],
)
def test_what_can_be_seen_before_anything_is_built_is_named(
    changes: dict[str, Any], path: str
) -> None:
    with pytest.raises(ConfigError, match=path):
        check_config(changes)


def test_an_assertion_without_words_is_quoted() -> None:
    with pytest.raises(ConfigError, match="AssertionError: raise AssertionError"):
        with blame_config({}, "building the model"):
            raise AssertionError  # pytest would give words to an assert.


def test_what_a_data_loading_process_raised_is_one_line() -> None:
    message = ("Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent "
               'call last):\n  File "/x/lib/loading.py", line 7, in transform\n    results["img"]\n'
               "ValueError: no img\n")
    with pytest.raises(ConfigError) as caught:
        with blame_config({}, "training"):
            raise ValueError(message)
    assert "ValueError: no img (in a data loading process at loading.py:7)" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        DataError("a.json: broken"),
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        OSError(errno.ENOSPC, "No space left on device", "epoch_1.pth"),
    ],
    ids=["detkit's own", "memory", "a GPU's memory", "a full disk"],
)
def test_errors_that_say_enough_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        with blame_config({}, "training"):
            raise error
    assert caught.value is error


def test_a_config_that_fails_while_it_is_read_is_refused(tmp_path: Path) -> None:
    from detkit.engine.config import load_config

    for text, kind in (("a = 1 / 0", "ZeroDivisionError"), ("assert 1 > 2", "AssertionError")):
        (tmp_path / "x.py").write_text(text)
        with pytest.raises(ConfigError, match=kind):
            load_config(tmp_path / "x.py")
