"""``detkit benchmark``: the tables, the JSON file, and invalid arguments."""

import json

import pytest
from thumbnail_checkpoint import save_thumbnail

from detkit.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_thumbnail(tmp_path_factory.mktemp("given") / "thumbnail.pth")


def run(checkpoint, *words):
    return main(["benchmark", str(checkpoint), "--engine", "torch", "--runs", "2",
                 "--device", "cpu", *words])


def test_without_data_tables_and_json_have_no_ap(
    checkpoint, tmp_path, capsys
):
    out = tmp_path / "new" / "rows.json"
    assert run(checkpoint, "--precision", "f32", "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert "no AP: " in printed.err and "--data" in printed.err
    speed, shares = printed.out.split("\n\n")
    header, mmdet, torch = (line.split() for line in speed.splitlines())
    assert header[0] == "engine" and header[-1] == "AP"
    assert mmdet[:3] == ["mmdet", "f32", "96x96"] and mmdet[-2:] == ["1.00", "-"]
    # The synthetic images are 480x640, and the network input is at most 96x96.
    assert torch[:3] == ["torch", "f32", "96x96"] and torch[-1] == "-"
    assert shares.splitlines()[1].split()[:3] == ["torch", "f32", "96x96"]
    rows = json.loads(out.read_text())["rows"]
    assert [row["engine"] for row in rows] == ["mmdet", "torch"]
    assert [row["ap"] for row in rows] == [None, None]
    assert rows[1]["ratio"] == pytest.approx(rows[1]["fps"] / rows[0]["fps"])
    assert torch[3] == f"{rows[1]['median']:.1f}" and torch[5] == f"{rows[1]['fps']:.1f}"
    assert sum(rows[1]["shares"].values()) == pytest.approx(1)
    assert [path.name for path in out.parent.iterdir()] == ["rows.json"]


def test_each_size_has_its_rows(checkpoint, capsys):
    assert run(checkpoint, "--size", "64x96", "--size", "32", "--max-proposals", "1",
               "--precision", "f32") == 0
    lines = capsys.readouterr().out.split("\n\n")[0].splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["mmdet", "torch"] * 2
    assert [line.split()[2] for line in lines] == ["64x96", "64x96", "32x32", "32x32"]


def test_unavailable_engines_are_skipped_and_reported(checkpoint, capsys):
    assert run(checkpoint, "--precision", "int8") == 0
    printed = capsys.readouterr()
    assert "torch int8: skipped" in printed.err
    assert [line.split()[0] for line in printed.out.splitlines()] == ["engine", "mmdet"]


@pytest.mark.parametrize(("words", "message"), [
    (["--runs", "0"], "at least 1"),
    (["--size", "96x"], "got '96x'"),
    (["--size", "33x64"], "multiples of 32"),
    (["--engine", "caffe"], "got 'caffe'"),
    (["--precision", "f64"], "invalid choice"),
    (["--data", "nowhere"], "no such folder"),
    (["--device", "cuda:99"], "cuda:99"),
    (["--max-proposals", "0"], "at least 1"),
])
def test_bad_arguments_exit_2_with_one_line(checkpoint, words, message, capsys):
    assert run(checkpoint, *words) == 2
    printed = capsys.readouterr()
    last = printed.err.strip().splitlines()[-1]
    assert "error: " in last and message in last
    assert printed.out == ""


def test_unwritable_out_is_reported_before_measuring(
    checkpoint, tmp_path, capsys
):
    old = tmp_path / "rows.json"
    old.write_text("existing")
    for out, message in ((old, "add --force"), (tmp_path, "is a folder"),
                         (old / "rows.json", "rows.json")):
        assert run(checkpoint, "--out", str(out)) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert old.read_text() == "existing"


def test_invalid_checkpoint_is_one_line(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    for path, message in ((tmp_path / "notes.txt", "got a text file"),
                          (tmp_path, "got a folder"), (tmp_path / "gone.pth", "no such file")):
        assert run(path) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and message in error
