"""``detkit weights``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from detkit.checkpoints.published.find_published import find_by_name, list_published, locate
from detkit.cli.main import main
from detkit.registry import MODELS

LITE0 = "efficientnet_lite0.lukemelas"


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("DETKIT_WEIGHTS", raising=False)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    code = main(["weights", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_list_has_each_name_once_and_says_where_the_file_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The list does not read the files.
    (tmp_path / "swin_t-704ceda3.pth").write_bytes(b"x" * 1_250_000)
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path))
    code, out, _ = run(capsys)
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if "." in line.split(" ")[0]}
    listed = [weights.name for weights in list_published()]
    assert sorted(listed) == sorted(name for name in rows if name in listed)
    assert all(out.count(f"\n{name} ") == 1 for name in listed)
    assert re.search(r"lite0 +75\.1 Apache-2\.0 +here: package, 18\.8 MB$", rows[LITE0])
    assert rows["swin_t.torchvision"].endswith("here: mirror, 1.2 MB")
    assert rows["swin_tiny.microsoft_in1k"].endswith("from github.com")
    assert "CC-BY-NC" in rows["convnextv2_tiny.fcmae_ft_in1k"]


@pytest.mark.parametrize("name, network", [
    (LITE0, "EfficientNet"), ("swin_t.torchvision", "SwinTransformer"),
    ("convnextv2_atto.fcmae_ft_in1k", "ConvNeXtV2"), ("resnet18.torchvision", "ClassicNetwork"),
    ("resnet18.a1_in1k", "TimmBackbone"), ("tf_efficientnet_b0.ns_jft_in1k", "EfficientNet"),
])
def test_config_line_builds_a_backbone_with_these_weights(
    name: str, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, name)
    line, = re.findall(r"^  config +backbone=(dict\(.*\))$", out, re.MULTILINE)
    with DefaultScope.overwrite_default_scope("detkit"), torch.device("meta"):
        backbone: nn.Module = MODELS.build(eval(line, {"dict": dict}))
    assert code == 0 and type(backbone).__name__ == network
    init_cfg = backbone.init_cfg
    assert isinstance(init_cfg, dict) and init_cfg["checkpoint"] == f"published:{name}"


def test_entry_has_the_whole_record(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, LITE0, "tf_efficientnet_b0.ns_jft_in1k")
    first, second = out.split("\n\n")
    weights = find_by_name(LITE0)
    for text in (weights.sha256, str(locate(weights)), "hash is right", "75.1", "Apache-2.0",
                 "[127.5, 127.5, 127.5]", "'same'", "0.001", "lukemelas"):
        assert str(text) in first, text
    assert "not on this machine" in second and "c0e6a31c (the first digits)" in second
    assert "'same'" in second and code == 0


def test_fetch_prints_the_path_of_a_file_that_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--fetch", LITE0)
    assert (code, err) == (0, "")
    assert Path(out.removeprefix(LITE0).strip()) == locate(find_by_name(LITE0))


@pytest.mark.parametrize("words", [[], ["--fetch"]], ids=["show", "fetch"])
def test_file_with_another_hash_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch
) -> None:
    lite0 = locate(find_by_name(LITE0))
    assert lite0 is not None
    shutil.copy(lite0, tmp_path / "swin_t-704ceda3.pth")
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path))
    code, out, err = run(capsys, *words, "swin_t.torchvision")
    assert code == 2 and out == "" and len(err.splitlines()) == 1
    assert "got SHA-256 57934424, expected 704ceda3" in err


@pytest.mark.parametrize("words, parts", [
    (["swin_t.torchvison"], ["swin_t.torchvison", "did you mean 'swin_t.torchvision'"]),
    (["lite2"], ["lite2", "efficientnet_lite2.lukemelas"]),
    (["--fetch", LITE0, "nothing"], ["nothing", "detkit weights"]),
    (["--fetch"], ["--fetch", "NAME"]),
])
def test_unknown_name_is_one_line_with_the_nearest(
    words: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *words)
    assert code == 2 and out == "" and len(err.splitlines()) == 1
    assert all(part in err for part in parts)
