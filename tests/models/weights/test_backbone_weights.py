"""Loading of backbone checkpoints: layouts, prefixes, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModule

from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import SwinTransformer
from detkit.models.weights.backbone_weights import load_backbone_weights

State = dict[str, Any]
ARCH = dict(embed_dims=8, depths=(2, 2), num_heads=(1, 2), window_size=3)


def model(**changes: Any) -> SwinTransformer:
    return SwinTransformer(**{"arch": ARCH, "out_indices": (0, 1), **changes})


def microsoft() -> State:
    """A state dict in microsoft's classification layout, for ARCH."""
    torch.manual_seed(0)
    state: State = {}
    for name, value in model().state_dict().items():
        if not name.startswith("norm"):
            state[name.replace("stages.", "layers.")] = torch.randn_like(value)
    for stage in (0, 1):
        state[f"layers.{stage}.blocks.0.attn.relative_position_index"] = torch.zeros(9, 9)
    state["layers.0.blocks.1.attn_mask"] = torch.zeros(4, 9, 9)
    state |= {"norm.weight": torch.ones(16), "norm.bias": torch.ones(16)}
    state |= {"head.weight": torch.ones(5, 16), "head.bias": torch.ones(5)}
    return state


QKV = "layers.1.blocks.0.attn.qkv.weight"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"model": s},
        lambda s: {"state_dict": s, "meta": {"epoch": 1}},
        lambda s: {"epoch": 3, "model": {k: v * 0 for k, v in s.items()}, "model_ema": s},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {"model": {f"backbone.{k}": v for k, v in s.items()} | {"neck.w": s[QKV]}},
        lambda s: {"model": {f"module.backbone.{k}": v for k, v in s.items()}},
    ],
    ids=["bare", "model", "state_dict", "ema", "module.", "backbone.", "module.backbone."],
)
def test_wrappers_and_prefixes_are_stripped(
    wrap: Callable[[State], State], tmp_path: Path
) -> None:
    torch.save(wrap(microsoft()), tmp_path / "file.pth")
    backbone = model()
    report = load_backbone_weights(backbone, tmp_path / "file.pth")
    assert report.layout == "microsoft"
    assert torch.equal(backbone.state_dict()[QKV.replace("layers", "stages")], microsoft()[QKV])
    assert report.missing_keys == ("norm0.weight", "norm0.bias", "norm1.weight", "norm1.bias")
    text = str(report)
    assert "norm0.weight" in text and "head.weight" in text


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda s: s.clear(), "empty dict"),
        (lambda s: s.pop(QKV), "missing stages.1.blocks.0.attn.qkv.weight"),
        (lambda s: s.update({QKV + "s": s.pop(QKV)}), f"unexpected {QKV}s"),
        (lambda s: s.update({QKV: torch.ones(3, 3)}), r"qkv.weight is \(48, 16\).*\(3, 3\)"),
        (lambda s: s.update({"layers.1.blocks.2.norm1.bias": s[QKV]}), "layers.1.blocks.2.norm1"),
        (lambda s: s.update({"absolute_pos_embed": s[QKV]}), "unexpected absolute_pos_embed"),
        (
            lambda s: [s.pop(name) for name in list(s) if ".qkv." in name],
            "names of a Swin Transformer",
        ),
    ],
    ids=["empty", "missing", "renamed", "shape", "deeper", "position", "other"],
)
def test_mismatched_checkpoint_is_rejected_and_loads_nothing(
    spoil: Callable[[State], Any], words: str, tmp_path: Path
) -> None:
    state = microsoft()
    spoil(state)
    torch.save({"model": state}, tmp_path / "file.pth")
    backbone = model()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(WeightsError, match=words) as excinfo:
        load_backbone_weights(backbone, tmp_path / "file.pth")
    assert "file.pth" in str(excinfo.value) and "\n" not in str(excinfo.value)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])


def test_detkit_checkpoints_load_with_output_norms() -> None:
    source, target = model(), model()
    source.init_weights()
    with torch.no_grad():
        source.get_submodule("norm1").weight.fill_(3)
    state = {f"backbone.{name}": value for name, value in source.state_dict().items()}
    report = load_backbone_weights(target, {"state_dict": state, "message_hub": {}})
    assert report.layout == "detkit" and report.missing_keys == () and report.unexpected_keys == ()
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def move(state: State, old: str, new: str) -> None:
    for name in [name for name in state if name.startswith(old)]:
        state[new + name.removeprefix(old)] = state.pop(name)


OWN_QKV = "stages.1.blocks.0.attn.qkv.weight"


@pytest.mark.parametrize("spoil, words", [
    (lambda s: move(s, OWN_QKV, f"{OWN_QKV}s"), f"missing {OWN_QKV}; unexpected {OWN_QKV}s"),
    (lambda s: s.pop(OWN_QKV), f"missing {OWN_QKV}"),
    (lambda s: s.update({OWN_QKV: torch.ones(3, 3)}), rf"{OWN_QKV} is .*\(3, 3\)"),
    (lambda s: move(s, "norm0.weight", "norm0.weigth"),
     "missing norm0.weight; unexpected norm0.weigth"),
    (lambda s: s.pop("norm1.bias"), "missing norm1.bias"),
    (lambda s: s.update({"norm1.bias": torch.ones(3)}), r"norm1.bias is \(16,\)"),
    (lambda s: move(s, "norm0.", "norm2."), "unexpected norm2.weight, norm2.bias"),
    (lambda s: move(s, "norm0.", "norms0."), "unexpected norms0.weight, norms0.bias"),
], ids=["renamed", "missing", "shape", "renamed-norm", "half-a-norm", "shape-of-norm",
        "norm-of-no-stage", "no-norm"])
def test_checkpoint_with_one_wrong_key_is_rejected_by_key(
    spoil: Callable[[State], Any], words: str
) -> None:
    state = dict(model().state_dict())
    spoil(state)
    backbone = model()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(WeightsError, match=f"detkit layout.*{words}"):
        load_backbone_weights(backbone, state)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])


def test_checkpoint_with_incomplete_norm_is_rejected() -> None:
    state = microsoft() | {"norm0.weight": torch.ones(8), "norm0.weigth": torch.ones(8)}
    with pytest.raises(WeightsError, match="missing norm0.bias; unexpected norm0.weigth"):
        load_backbone_weights(model(), state)


def test_norms_of_other_outputs_are_reported_missing_or_unexpected() -> None:
    one_output, both = model(out_indices=(1,)), model()
    report = load_backbone_weights(both, one_output.state_dict())
    assert report.missing_keys == ("norm0.weight", "norm0.bias") and report.unexpected_keys == ()
    assert "left as initialized: norm0.weight, norm0.bias" in str(report)
    report = load_backbone_weights(one_output, both.state_dict())
    assert report.missing_keys == () and report.unexpected_keys == ("norm0.weight", "norm0.bias")


def test_unused_stages_are_reported_unexpected() -> None:
    report = load_backbone_weights(model(out_indices=(0,)), microsoft())
    assert {QKV, "layers.0.downsample.norm.weight"} <= set(report.unexpected_keys)


def test_bias_table_is_resized_to_other_window() -> None:
    state = microsoft()
    backbone = model(window_size=5)
    report = load_backbone_weights(backbone, state)
    name = "blocks.1.attn.relative_position_bias_table"
    got = backbone.state_dict()[f"stages.1.{name}"]
    # 5 x 5 offsets of windows of 3 become 9 x 9 of windows of 5, for each of the two heads.
    for head in range(2):
        table = state[f"layers.1.{name}"][:, head].view(1, 1, 5, 5)
        expected = F.interpolate(table, size=(9, 9), mode="bicubic").flatten()
        torch.testing.assert_close(got[:, head], expected)
    assert len(report.resized) == 4


def test_pretrained_init_cfg_uses_loader_and_logs_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"model": microsoft()}, tmp_path / "file.pth")
    backbone = model(init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "file.pth")))

    class Detector(BaseModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

    MMLogger.get_current_instance().addHandler(caplog.handler)  # it does not propagate
    try:
        Detector().init_weights()
    finally:
        MMLogger.get_current_instance().removeHandler(caplog.handler)
    log_text = caplog.text
    assert "microsoft layout" in log_text and "head.weight" in log_text
    assert torch.equal(backbone.stages[1].blocks[0].attn.qkv.weight, microsoft()[QKV])


@pytest.mark.parametrize("init_cfg", [
    {"type": "Pretrained"}, {"type": "Pretrained", "checkpoint": ""}, {"checkpoint": "a.pth"},
], ids=["no-checkpoint", "empty-checkpoint", "no-type"])
def test_incomplete_init_cfg_is_rejected(init_cfg: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"SwinTransformer: init_cfg: got .*checkpoint=FILE"):
        model(init_cfg=init_cfg).init_weights()


def test_prefix_selects_one_of_several_models(tmp_path: Path) -> None:
    state = {f"teacher.{k}": v for k, v in microsoft().items()}
    state |= {f"student.{k}": v * 0 for k, v in microsoft().items()}
    backbone = model()
    load_backbone_weights(backbone, state, prefix="teacher")
    assert torch.equal(backbone.stages[1].blocks[0].attn.qkv.weight, microsoft()[QKV])
    with pytest.raises(WeightsError, match="'pupil'"):
        load_backbone_weights(backbone, state, prefix="pupil")


def test_backbone_without_filter_fn_is_rejected_by_name() -> None:
    with pytest.raises(WeightsError, match="Linear"):
        load_backbone_weights(torch.nn.Linear(2, 2), microsoft())


def test_mmengine_checkpoint_with_message_hub_is_read(tmp_path: Path) -> None:
    hub = MessageHub.get_instance("test_weights")
    hub.update_scalar("train/loss", torch.tensor(1.5))
    content = {
        "state_dict": {"a": torch.ones(2)},
        "message_hub": hub.state_dict(),
        "meta": {"score": numpy.float64(0.5), "classes": ("a", "b"), "at": numpy.arange(3)},
    }
    torch.save(content, tmp_path / "epoch_1.pth")
    read = load_checkpoint(tmp_path / "epoch_1.pth")
    assert read["meta"]["score"] == 0.5 and read["meta"]["at"].tolist() == [0, 1, 2]
    assert read["message_hub"]["log_scalars"]["train/loss"].current() == 1.5


class CodeRunsOnUnpickling:
    """Writes a file if it is unpickled without restrictions."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


class UnpicklesBuiltin:
    """Unpickling it looks up an attribute that mmengine's message hub never needs."""

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (torch.Tensor, "__init__")


def test_checkpoint_with_code_is_rejected_and_not_executed(tmp_path: Path) -> None:
    torch.save({"model": {}, "x": CodeRunsOnUnpickling(tmp_path / "ran")}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match="executing code.*Path"):
        load_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()
    torch.save({"x": UnpicklesBuiltin()}, tmp_path / "reaching.pth")
    with pytest.raises(WeightsError):
        load_checkpoint(tmp_path / "reaching.pth")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("none.pth", None, "no such file"),
        ("empty.pth", b"", "got an empty file"),
        ("text.pth", b"<html>not found</html>", "got a text file"),
        # Truncated or invalid pickle opcodes.
        ("words.pth", b"some text", "got a text file"),
        ("short.pth", b"J", "got a text file"),
        ("text.safetensors", b"<html>not found</html>", "got a text file"),
        ("cut.pth", "cut", "cannot be read"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_invalid_checkpoint_file_error_is_one_line(
    name: str, content: bytes | str | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content == "cut":
        torch.save({"a": torch.ones(1000)}, path)
        path.write_bytes(path.read_bytes()[:2000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=words) as excinfo:
        load_checkpoint(path)
    assert name in str(excinfo.value) and "\n" not in str(excinfo.value)


def test_tensor_file_and_folder_are_rejected(tmp_path: Path) -> None:
    torch.save(torch.ones(2), tmp_path / "tensor.pth")
    with pytest.raises(WeightsError, match="got a Tensor"):
        load_checkpoint(tmp_path / "tensor.pth")
    with pytest.raises(WeightsError, match="got a folder"):
        load_checkpoint(tmp_path)


def test_url_without_network_error_suggests_local_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # Port 9, the discard port: no server.
    with pytest.raises(WeightsError, match="local file") as excinfo:
        load_checkpoint("http://127.0.0.1:9/swin.pth")
    assert "\n" not in str(excinfo.value)
