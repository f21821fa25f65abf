"""An exception of another library becomes one line with the component of the config."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_training
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from detkit.config.error_source import config_error_context
from detkit.config.validate.config_check import check_config
from detkit.errors import ConfigError, DataError
from detkit.registry import MODELS, import_mmdet


def _build_model(cfg: Config) -> None:
    import_mmdet()
    with DefaultScope.overwrite_default_scope("detkit"), config_error_context(
            cfg, "building the model"):
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
    ids=["string for a number", "invalid depth", "None for a list", "number for a dict"],
)
def test_error_names_the_component_that_cannot_be_built(
    changes: dict[str, Any], path: str, value: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        _build_model(_config(changes))
    line = str(caught.value)
    assert line.startswith(f"{path}") and value in line and "\n" not in line


def test_error_names_the_wrong_component_among_several_of_its_type() -> None:
    head = _config({}).model.roi_head.bbox_head.to_dict()
    heads = [head, {**head, "fc_out_channels": "wide"}]
    extractor = _config({}).model.roi_head.bbox_roi_extractor.to_dict()
    cfg = _config({"model.roi_head": dict(
        _delete_=True, type="CascadeRoIHead", num_stages=2, stage_loss_weights=[1, 1],
        bbox_roi_extractor=extractor, bbox_head=heads)})
    cfg.model.train_cfg.rcnn = [cfg.model.train_cfg.rcnn] * 2
    with pytest.raises(ConfigError, match=r"model\.roi_head\.bbox_head\[1\].*fc_out_channels"):
        _build_model(cfg)


def test_error_names_the_config_value_quoted_in_the_message() -> None:
    with pytest.raises(ConfigError, match="log_level: starting failed.*'LOUD'"):
        with config_error_context({"log_level": "LOUD", "work_dir": "x"}, "starting"):
            raise ValueError("Unknown level: 'LOUD'")


def test_error_names_the_hook_that_mmengine_reraises_for() -> None:
    class EMAHook:
        def before_run(self) -> None:
            raise TypeError("'<' not supported")

    with pytest.raises(ConfigError, match=r"custom_hooks\[0\]: training failed in EMAHook"):
        with config_error_context({"custom_hooks": [{"type": "EMAHook", "momentum": "x"}]},
                                  "training"):
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
    ids=["misspelled type", "string", "negative", "bool"],
)
def test_config_check_error_names_the_key(
    changes: dict[str, Any], path: str
) -> None:
    with pytest.raises(ConfigError, match=path):
        check_config(changes)


def test_assertion_without_message_shows_the_source_line() -> None:
    with pytest.raises(ConfigError, match="AssertionError: raise AssertionError"):
        with config_error_context({}, "building the model"):
            raise AssertionError  # pytest would add a message to an assert.


def test_dataloader_worker_error_is_one_line() -> None:
    message = ("Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent "
               'call last):\n  File "/x/lib/loading.py", line 7, in transform\n    results["img"]\n'
               "ValueError: no img\n")
    with pytest.raises(ConfigError) as caught:
        with config_error_context({}, "training"):
            raise ValueError(message)
    assert "ValueError: no img (in a dataloader worker at loading.py:7)" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        DataError("a.json: broken"),
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOSPC, "No space left on device", "epoch_1.pth"),
        OSError(errno.ENOSPC, "No space left on device"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
        RuntimeError("[/x/gloo/transport/tcp/pair.cc:538] Connection closed by peer [::1]:3211"),
        torch.distributed.DistBackendError("NCCL error"),
    ],
    ids=["detkit's own", "memory", "a GPU's memory", "C++'s memory", "a full disk",
         "a disk not named", "connection", "worker", "gloo", "NCCL"],
)
def test_system_errors_pass_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        with config_error_context({"default_hooks": {}}, "training"):
            raise error
    assert caught.value is error


def test_error_that_is_its_own_cause_is_reported() -> None:
    error = ValueError("round")
    with pytest.raises(ConfigError, match="round"):
        with config_error_context({}, "training"):
            raise error from error


def test_arrays_in_the_config_are_supported() -> None:
    with pytest.raises(ConfigError, match="ValueError: the cause"):
        with config_error_context({"model": {"type": "X", "anchors": np.ones((2, 2))}}, "training"):
            raise ValueError("the cause")


def test_original_error_is_raised_when_no_report_can_be_made() -> None:
    class Odd(dict):  # type: ignore[type-arg]
        def items(self) -> Any:
            raise LookupError("not now")

    error = ValueError("the cause")
    with pytest.raises(ValueError, match="the cause") as caught:
        with config_error_context(Odd(a=1), "training"):
            raise error
    assert caught.value is error


def test_large_values_in_frames_are_not_converted_to_text() -> None:
    class Large(dict):  # type: ignore[type-arg]
        def __repr__(self) -> str:
            raise AssertionError("written out")

    def read(data: Any) -> None:
        raise KeyError("x")

    with pytest.raises(ConfigError, match="KeyError"):
        with config_error_context({"data_options": {"crowd": 1}}, "reading the data"):
            read(Large(annotations=[]))


def test_error_in_component_code_has_file_and_line() -> None:
    class MyNet:
        def forward(self) -> Any:
            return {}["x"]

    with pytest.raises(ConfigError, match=r"model: training failed in MyNet") as caught:
        with config_error_context({"model": {"type": "MyNet"}}, "training"):
            MyNet().forward()
    line = str(caught.value)
    assert f"at {__file__}:{MyNet.forward.__code__.co_firstlineno + 1}" in line
    assert "see the arguments" not in line


def test_traceback_goes_only_to_the_log_of_its_run(tmp_path: Path) -> None:
    earlier = MMLogger("earlier", log_file=str(tmp_path / "earlier.log"))
    MMLogger.get_instance("earlier of this test", log_file=str(tmp_path / "current.log"))
    for runner, told in ((None, False), (SimpleNamespace(logger=earlier), True)):
        with pytest.raises(ConfigError):
            with config_error_context({}, "training", runner):
                raise ValueError("the cause")
        assert ("the cause" in (tmp_path / "earlier.log").read_text()) == told
    assert "the cause" not in (tmp_path / "current.log").read_text()


def test_config_that_raises_while_loading_is_a_config_error(tmp_path: Path) -> None:
    from detkit.config.load_config import load_config

    for text, kind in (("a = 1 / 0", "ZeroDivisionError"), ("assert 1 > 2", "AssertionError")):
        (tmp_path / "x.py").write_text(text)
        with pytest.raises(ConfigError, match=kind):
            load_config(tmp_path / "x.py")
