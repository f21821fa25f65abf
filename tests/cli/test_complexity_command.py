"""``detkit complexity``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from detkit.cli.main import main

QUICKSTART = Path(__file__).resolve().parents[2] / "configs" / "quickstart.py"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    code = main(["complexity", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_table_and_json_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out_file = tmp_path / "new" / "cost.json"
    code, out, err = run(capsys, QUICKSTART, "--size", "64x96", "--out", out_file)
    assert code == 0 and "error" not in err
    content = json.loads(out_file.read_text())
    assert (content["height"], content["width"], content["classes"]) == (64, 96, 80)
    assert content["regions"]["proposals"] == 200
    assert "one image of 64x96 (height x width), 80 classes" in out
    assert "FLOPs are multiply-adds" in out and "at 200 proposals" in out and "NMS" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    stages = {module["name"].removeprefix("roi_head."): module for module in content["inside"]}
    assert set(stages) == {"bbox_head.0", "bbox_head.1", "bbox_head.2"}
    modules = {**{module["name"]: module for module in content["parts"]}, **stages,
               "total": content["whole"]}
    units = {"k": 1e3, "M": 1e6, "G": 1e9}
    for name, module in modules.items():
        printed = [float(rows[name][column]) * units[rows[name][column + 1]]
                   for column in (0, 2, 4)]
        exact = [module["parameters"], module["trainable"], module["multiply_adds"]]
        assert printed == pytest.approx(exact, rel=1e-3), name
    assert content["whole"]["multiply_adds"] == sum(p["multiply_adds"] for p in content["parts"])


def test_single_size_means_square_and_cfg_options_apply(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, QUICKSTART, "--size", "64", "--cfg-options",
                       "model.test_cfg.rpn.max_per_img=7")
    assert code == 0
    assert "64x64" in out and "at 7 proposals" in out


def test_existing_file_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out_file = tmp_path / "cost.json"
    out_file.write_text("existing")
    code, out, err = run(capsys, QUICKSTART, "--out", out_file)
    assert (code, out) == (2, "")
    assert err == f"error: {out_file}: already exists; choose another file with --out\n"
    assert out_file.read_text() == "existing"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.py"], "error: nowhere.py: no such config file"),
        ([QUICKSTART, "--cfg-options", "model.backbon.arch=x"], "backbon"),
        ([QUICKSTART, "--cfg-options", "model.backbone.arch=huge"],
         "error: EfficientNet"),
        ([QUICKSTART, "--cfg-options", "model.roi_head.num_stages=9"], "cannot be built"),
        ([QUICKSTART, "--size", "64", "--cfg-options",
          "model.roi_head.bbox_roi_extractor.roi_layer.output_size=5"], "cannot be counted at"),
        ([QUICKSTART, "--cfg-options", "model.test_cfg.rpn.max_per_img=0"],
         "model.test_cfg.rpn.max_per_img: got 0"),
    ],
    ids=["no file", "no such key", "no such arch", "no such model", "does not run", "no proposals"],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out_file = tmp_path / "cost.json"
    code, out, err = run(capsys, *words, "--out", out_file)
    assert (code, out) == (2, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert "Traceback" not in err and not out_file.exists()


@pytest.mark.parametrize("size", ["", "0", "0x5", "800x", "x800", "8x8x8", "-3", "big", "1000000"])
def test_invalid_size_is_usage_error(
    size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, QUICKSTART, f"--size={size}")
    assert (code, out) == (2, "")
    assert "--size" in err and "expected" in err


def test_tool_script_equals_command(repository: Path) -> None:
    tool = [sys.executable, str(repository / "tools" / "complexity.py"), "--help"]
    done = subprocess.run(tool, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: tools/complexity.py") and "--size HxW" in done.stdout
