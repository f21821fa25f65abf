"""Loading of weights for models of timm, from a file or the hub."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm_files import randomized_model, timm_feature_maps, weights_file

from detkit.errors import WeightsError
from detkit.models.backbones import SwinTransformer, TimmBackbone
from detkit.models.weights.backbone_weights import load_backbone_weights

State = dict[str, Any]
KEY = "layer2.0.conv1.weight"


def backbone(**changes: Any) -> TimmBackbone:
    return TimmBackbone(**{"name": "test_resnet", **changes})


def file_of(state: State, folder: Path) -> Path:
    torch.save(state, folder / "file.pth")
    return folder / "file.pth"


@pytest.mark.parametrize("wrap", [
    lambda s: s,
    lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}, "epoch": 3},
    lambda s: {"model": {k: v * 0 for k, v in s.items()}, "model_ema": s},
], ids=["bare", "module.", "ema"])
def test_timm_checkpoint_loads_except_classifier(
    wrap: Callable[[State], State], tmp_path: Path
) -> None:
    state = randomized_model("test_resnet").state_dict()
    path = file_of(wrap(state), tmp_path)
    model = backbone(init_cfg=dict(type="Pretrained", checkpoint=str(path)), pretrained=True)
    model.init_weights()  # the file has priority over the hub
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name.removeprefix("body.")]), name
    report = load_backbone_weights(backbone(), path)
    assert set(report.unexpected_keys) >= {"fc.weight", "fc.bias"} and report.missing_keys == ()


@pytest.mark.parametrize("spoil, words", [
    (lambda s: s.pop(KEY), f"missing body.{KEY}"),
    (lambda s: s.update({KEY + "s": s.pop(KEY)}), f"missing body.{KEY}; unexpected {KEY}s"),
    (lambda s: s.update({KEY: torch.ones(3, 3)}), rf"'{KEY}' of the file is \(3, 3\)"),
    (lambda s: s.update({"neck.weight": s[KEY]}), "unexpected neck.weight"),
    (lambda s: s.clear(), "empty dict"),
], ids=["missing", "renamed", "shape", "more", "empty"])
@pytest.mark.parametrize("name", ["test_resnet", "test_convnext"])
def test_mismatched_checkpoint_is_rejected_and_loads_nothing(
    name: str, spoil: Callable[[State], Any], words: str, tmp_path: Path
) -> None:
    key = {"test_resnet": KEY, "test_convnext": "stages.1.blocks.0.mlp.fc1.weight"}[name]
    state = randomized_model(name).state_dict()
    state[KEY] = state.pop(key)
    spoil(state)
    if KEY in state:
        state[key] = state.pop(KEY)
    state = {param.replace(KEY, key): value for param, value in state.items()}
    model = backbone(name=name)
    before = {param: value.clone() for param, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=words.replace(KEY, key)) as excinfo:
        load_backbone_weights(model, file_of(state, tmp_path))
    assert "\n" not in str(excinfo.value)
    for param, value in model.state_dict().items():
        assert torch.equal(value, before[param])


def test_checkpoint_of_other_model_is_rejected(tmp_path: Path) -> None:
    for name, other in (("test_resnet", "test_vit"), ("test_convnext", "test_resnet")):
        with pytest.raises(WeightsError, match="file.pth"):
            load_backbone_weights(backbone(name=name),
                                  file_of(randomized_model(other).state_dict(), tmp_path))


def test_detkit_checkpoints_load_and_deeper_levels_are_unexpected() -> None:
    source = backbone()
    state = {f"backbone.{name}": value for name, value in source.state_dict().items()}
    report = load_backbone_weights(backbone(strides=(4, 8)), {"state_dict": state})
    assert report.layout == "detkit" and report.missing_keys == ()
    assert report.unexpected_keys and all(
        name.startswith(("layer3", "layer4")) for name in report.unexpected_keys)
    target = backbone()
    load_backbone_weights(target, {"state_dict": state})
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])


def test_position_embeddings_are_resized_as_in_timm(tmp_path: Path) -> None:
    file = weights_file("test_vit", tmp_path)  # 10 x 10 patches
    model = TimmBackbone("test_vit", strides=None, img_size=(96, 128)).eval()
    assert load_backbone_weights(model, file).resized == ("body.pos_embed",)
    reference = timm.create_model("test_vit", img_size=(96, 128), pretrained=True,
                                  pretrained_cfg_overlay=dict(file=str(file)))
    torch.testing.assert_close(model.body.pos_embed, reference.pos_embed)
    # Without img_size they are resized to each image, as in timm.
    free = TimmBackbone("test_vit", strides=None).eval()
    load_backbone_weights(free, file)
    image = torch.randn(1, 3, 96, 128)
    timms = timm.create_model("test_vit", dynamic_img_size=True, pretrained=True,
                              pretrained_cfg_overlay=dict(file=str(file))).eval()
    with torch.no_grad():
        expected = timms.forward_intermediates(image, indices=1, intermediates_only=True)
        torch.testing.assert_close(free(image), tuple(expected))


@pytest.mark.slow
def test_original_release_checkpoint_is_converted_by_timm() -> None:
    # microsoft's Swin has its patch merging at the end of a stage, timm at the start of the next.
    model = SwinTransformer("tiny", drop_path_rate=0.0).eval()
    model.init_weights()
    state = {name.replace("stages.", "layers."): value for name, value in model.state_dict().items()
             if not name.startswith("norm")}
    reference = TimmBackbone("swin_tiny_patch4_window7_224").eval()
    report = load_backbone_weights(reference, {"model": state})
    assert report.layout == "timm" and report.missing_keys == ()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        for index, (first, second) in enumerate(zip(reference(image), model(image), strict=True)):
            norm = model.get_submodule(f"norm{index}")
            normed = norm(first.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            torch.testing.assert_close(normed, second, rtol=1e-4, atol=1e-4)


class Hub(http.server.BaseHTTPRequestHandler):
    """A minimal hub: location, version and content of a file."""

    content = b""
    asked: list[str] = []

    def do_HEAD(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        there = self.path == "/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"
        commit = "/resolve/" + "0" * 40 + "/model.safetensors"
        self.send_response(200 if there or self.path.endswith(commit) else 404)
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def set_client(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """Set what HF_ENDPOINT and HF_HUB_CACHE set, which the client reads at import."""
    from huggingface_hub import constants

    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A local hub and an empty cache, with the client configured for both."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    set_client(monkeypatch, address, tmp_path / "cache")
    Hub.asked = []
    yield Hub
    server.shutdown()
    server.server_close()


def test_pretrained_weights_are_downloaded_once_by_init_weights(
    hub: type[Hub], tmp_path: Path
) -> None:
    path = weights_file("test_resnet", tmp_path)
    hub.content = path.read_bytes()
    model = backbone(pretrained=True)
    assert not hub.asked  # building needs no network
    model.init_weights()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = timm_feature_maps("test_resnet", path, (1, 2, 3, 4), image)
        torch.testing.assert_close(model.eval()(image), tuple(expected))
    asked = len(hub.asked)
    assert any(param.startswith("GET") for param in hub.asked)
    backbone(pretrained=True).init_weights()
    assert len(hub.asked) == asked


def test_missing_network_error_is_one_line_with_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_client(monkeypatch, "http://127.0.0.1:9", tmp_path)  # the discard port: no server
    model = backbone(pretrained=True)
    with pytest.raises(WeightsError,
                       match="test_resnet.*could not be downloaded.*init_cfg") as excinfo:
        model.init_weights()
    assert "\n" not in str(excinfo.value)


def test_timm_model_without_pretrained_weights_raises() -> None:
    with pytest.raises(WeightsError, match="no pretrained weights for test_maxvit"):
        TimmBackbone("test_maxvit", pretrained=True).init_weights()


def test_safetensors_and_pth_load_equally(tmp_path: Path) -> None:
    path = weights_file("test_efficientnet", tmp_path)
    other = file_of(load_file(path), tmp_path)
    reports = [load_backbone_weights(backbone(name="test_efficientnet"), param)
               for param in (path, other)]
    assert reports[0].loaded == reports[1].loaded
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="a.safetensors"):
        load_backbone_weights(backbone(), tmp_path / "a.safetensors")
