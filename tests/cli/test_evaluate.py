"""``detkit evaluate``."""

import json
import os
import subprocess
import sys

import pytest

from detkit.cli.main import main

GROUND_TRUTH = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50],
                     "area": 2500, "iscrowd": 0}],
}
RESULTS = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "score": 0.5}]


@pytest.fixture
def files(tmp_path):
    contents = {"annotations.json": GROUND_TRUTH, "results.json": RESULTS, "empty.json": []}
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def run(folder, capsys, *words):
    """Exit code, stdout and stderr; JSON file names are relative to ``folder``."""
    words = [str(folder / word) if word.endswith(".json") else word for word in words]
    code = main(["evaluate", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_no_results_have_zero_ap(files, capsys):
    code, out, err = run(files, capsys, "annotations.json", "empty.json")
    assert (code, err) == (0, "")
    assert "AP     0.0000" in out and "APs         -" in out


def test_published_numbers_are_printed(shared_data, capsys):
    folder = shared_data / "eval_coco100"
    code, out, err = run(folder, capsys, "instances_val2014_100.json",
                         "instances_val2014_fakebbox100_results.json")
    printed = [line.split()[1] for line in out.splitlines()[3:]]
    # SOURCE.txt of the data, and the demo of pycocotools.
    assert printed == ("0.5046 0.6970 0.5730 0.5856 0.5194 0.5014 "
                       "0.3868 0.5937 0.5954 0.6398 0.5664 0.5643").split()
    assert (code, err) == (0, "")


def test_classwise_adds_a_row_for_each_class(files, capsys):
    code, out, _ = run(files, capsys, "annotations.json", "results.json", "--classwise")
    assert code == 0
    assert [line.split() for line in out.splitlines()[-2:]] == [
        ["cat", "1.0000", "1.0000", "1"], ["dog", "-", "-", "0"]]


def test_out_holds_all_numbers_unrounded(files, capsys):
    code, _, err = run(
        files, capsys, "annotations.json", "results.json", "--out", "new/scores.json")
    assert (code, err) == (0, "")
    content = json.loads((files / "new/scores.json").read_text())
    assert content["AP"] == pytest.approx(1) and content["APs"] is None
    assert content["classes"]["cat"] == {"AP": content["AP"], "AP50": content["AP50"], "truths": 1}
    assert (content["images"], content["truths"], content["detections"]) == (1, 1, 1)


def test_out_is_not_overwritten_without_force(files, capsys):
    (files / "old.json").write_text("existing")
    code, out, err = run(files, capsys, "annotations.json", "results.json", "--out", "old.json")
    assert (code, out) == (2, "")
    assert "already exists" in err and err.count("\n") == 1
    assert (files / "old.json").read_text() == "existing"


@pytest.mark.parametrize("name", ["annotations.json", "results.json"])
def test_out_never_overwrites_inputs(name, files, capsys):
    before = (files / name).read_bytes()
    code, _, err = run(files, capsys, "annotations.json", "results.json", "--out", name, "--force")
    assert code == 2 and f"{name}: is an input file" in err
    assert (files / name).read_bytes() == before


def test_out_is_overwritten_with_force(files, capsys):
    (files / "old.json").write_text("stale")
    code, _, err = run(
        files, capsys, "annotations.json", "results.json", "--out", "old.json", "--force")
    assert (code, err) == (0, "")
    assert json.loads((files / "old.json").read_text())["truths"] == 1


def test_filled_in_fields_are_noted_on_stderr(files, capsys):
    ground_truth = {**GROUND_TRUTH, "annotations": [{**GROUND_TRUTH["annotations"][0], "id": 0}]}
    (files / "annotations.json").write_text(json.dumps(ground_truth))
    code, out, err = run(files, capsys, "annotations.json", "results.json")
    assert code == 0 and "AP     1.0000" in out
    assert err.startswith("note: ") and "id 0" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent.json", "results.json"], "absent.json: no such file"),
        (["results.json", "annotations.json"], "give the annotation file first"),
        (["annotations.json", "annotations.json"], "annotation file first"),
    ],
    ids=["no file", "wrong order", "annotations twice"],
)
def test_bad_input_is_one_line_and_exit_code_2(words, message, files, capsys):
    code, out, err = run(files, capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and message in err and err.count("\n") == 1


def test_missing_argument_is_usage_error(files, capsys):
    assert run(files, capsys, "annotations.json")[0] == 2


def test_unencodable_class_names_are_escaped(files, repository):
    ground_truth = {**GROUND_TRUTH, "categories": [{"id": 1, "name": "\u043a\u043e\u0442"}]}
    (files / "annotations.json").write_text(json.dumps(ground_truth))
    command = [sys.executable, "tools/evaluate.py", str(files / "annotations.json"),
               str(files / "results.json"), "--classwise"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository,
                          env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u043a\\u043e\\u0442" in done.stdout


def test_tool_does_not_import_torch(files, repository):
    command = [sys.executable, "-X", "importtime", str(repository / "tools" / "evaluate.py"),
               str(files / "annotations.json"), str(files / "results.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0 and "AP     1.0000" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "pycocotools" in imported and not imported & {"torch", "mmdet", "mmengine"}
