"""``detkit export``: both APs, and an engine, or exit code 1 and no engine."""

import re
import sys

import pytest
from own_truth import write_own_truth
from thumbnail_checkpoint import save_thumbnail

from detkit.cli.main import main


@pytest.fixture(scope="module")
def checkpoint_and_data(tmp_path_factory):
    """A checkpoint and a dataset for it."""
    folder = tmp_path_factory.mktemp("given")
    checkpoint = save_thumbnail(folder / "thumbnail.pth")
    return checkpoint, write_own_truth(folder / "data", checkpoint)


def run(checkpoint_and_data, out, *words):
    return main([
        "export",
        str(checkpoint_and_data[0]), "--out",
        str(out), "--data",
        str(checkpoint_and_data[1]), "--device", "cpu", *words
    ])


def test_export_prints_both_aps_and_force_replaces_engine(checkpoint_and_data, tmp_path, capsys):
    out = tmp_path / "engine"
    assert run(checkpoint_and_data, out) == 0
    printed = capsys.readouterr().out
    table = dict(re.findall(r"^(checkpoint|openvino f32)  +(\d\.\d{4})$", printed, re.M))
    assert table["checkpoint"] == table["openvino f32"] > "0.5"
    assert "AP drop 0.00 points, maximum 0.1; 4 images" in printed
    assert printed.endswith(f"engine: {out}\n")
    assert (out / "detkit.json").is_file()
    assert run(checkpoint_and_data, out) == 2
    assert "add --force" in capsys.readouterr().err
    # An impossible limit: the previous engine is kept.
    before = (out / "detkit.json").read_bytes()
    assert run(checkpoint_and_data, out, "--force", "--max-ap-drop=-1") == 1
    printed = capsys.readouterr()
    assert "error: AP drop of the engine: got 0.00 points" in printed.err.splitlines()[-1]
    assert "openvino f32" in printed.out and "engine:" not in printed.out
    assert (out / "detkit.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]


@pytest.mark.parametrize(("words", "message"), [
    (["--size", "0"], "got '0'"),
    (["--size", "64x"], "got '64x'"),
    (["--size", "50x64"], "multiples of 32"),
    (["--format", "caffe"], "invalid choice"),
    (["--precision", "int8", "--format", "onnx"], "--format openvino"),
    (["--batch", "0"], "at least 1"),
    (["--calibration", "x"], "at least 1"),
    (["--device", "cuda:99"], "cuda:99"),
    (["--max-ap-drop", "much"], "much"),
])
def test_bad_arguments_exit_2_with_one_line(checkpoint_and_data, words, message, tmp_path, capsys):
    assert run(checkpoint_and_data, tmp_path / "engine", *words) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error: " in last and message in last
    assert not list(tmp_path.iterdir())


def test_unwritable_out_is_one_line(checkpoint_and_data, tmp_path, capsys):
    (tmp_path / "file").write_text("existing")
    assert run(checkpoint_and_data, tmp_path / "file" / "engine") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and "file" in error
    assert (tmp_path / "file").read_text() == "existing"


@pytest.mark.parametrize(("format_name", "library", "extra"), [
    ("openvino", "openvino", "openvino"), ("onnx", "onnxruntime", "onnx")])
def test_missing_library_is_reported_with_its_extra(
    checkpoint_and_data, format_name, library, extra, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    assert run(checkpoint_and_data, tmp_path / "engine", "--format", format_name) == 2
    assert f"detkit[{extra}]" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
