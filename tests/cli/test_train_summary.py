"""The screen at the end of ``train``: its numbers, its width, and commands that parse."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detkit.cli.main import build_parser
from detkit.cli.train_summary import print_summary
from detkit.engine.results import TestResult, TrainResult
from detkit.engine.run_summary import RunSummary
from detkit.evaluation.classification.classification_scores import ClassificationScores
from detkit.evaluation.detection.coco_stats import CocoStats, PerClassAP

CLASSES = ("ball", "bottle", "a very long class name", "car", "dog", "cat")
APS = (0.1, 0.2, 0.3, float("nan"), 0.5, 0.6)
SUMMARY = RunSummary(
    config="configs/quickstart.py", data="sample", is_classifier=False,
    model="Cascade R-CNN, EfficientNet lite0, FPN; 4.6 million parameters",
    weights="a backbone from published:efficientnet_lite0.lukemelas", classes=CLASSES,
    images={"train": 400, "val": 50}, tested_on_val=False, schedule="10 epochs", seconds=852,
    training_seconds=720, resumed=None, validation=("AP", 0.5604, "epoch 9"), curves=None,
    ledger=None, log=None)


def coco_stats() -> CocoStats:
    per_class = [PerClassAP(name, value, value, 3) for name, value in zip(CLASSES, APS)]
    return CocoStats(0.5414, 0.7719, 0.6011, *[0.1] * 9, tuple(per_class), 500, 2000, 0, 9000)


def screen(
    capsys: pytest.CaptureFixture[str], work_dir: Path, summary: RunSummary | None = SUMMARY,
    test: TestResult | None = None, checkpoint: Path | None = Path("work_dirs/q/best.pth"),
) -> dict[str, str]:
    """The printed rows by their label; the text also lies in the work dir."""
    print_summary(TrainResult(work_dir, checkpoint, test, None, summary))
    text = capsys.readouterr().out
    assert (work_dir / "summary.txt").read_text().strip() == text.strip()
    lines = [line for line in text.splitlines() if line]
    assert len(lines) <= 20 and max(map(len, lines), default=0) <= 100
    return {line[:12].strip(): line[12:] for line in lines}


def test_screen_after_the_quickstart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    repository: Path,
) -> None:
    monkeypatch.setattr(sys, "argv", ["tools/train.py"])
    monkeypatch.chdir(repository)
    monkeypatch.setattr(sys, "executable", str(repository / ".venv" / "bin" / "python"))
    rows = screen(capsys, tmp_path, test=TestResult({}, coco_stats()))
    assert rows["trained"] == "configs/quickstart.py on the built-in sample"
    assert rows["classes"] == "6: ball, bottle, a very long..., car, dog and 1 more"
    assert rows["images"] == "train 400, val 50, test 500"
    assert rows["time"] == "10 epochs in 14.2 minutes, training steps 12.0 minutes"
    assert rows["validation"] == "AP 0.560, the best, after epoch 9"
    assert rows["test"] == "AP 0.541, AP50 0.772, AP75 0.601"
    # The class without ground truth is in neither.
    assert rows["by class"] == "AP best: cat 0.600, dog 0.500; worst: bottle 0.200, ball 0.100"
    assert rows["checkpoint"] == "work_dirs/q/best.pth"
    assert "curves" not in rows and "log" not in rows
    for label, command in (("predict", "predict"), ("video", "video"), ("export", "export"),
                           ("own data", "train")):
        python, script, *words = shlex.split(rows[label])
        assert (python, script) == (".venv/bin/python", f"tools/{command}.py")
        args = build_parser(command, "detkit").parse_args(words)
        if command == "train":
            assert (repository / args.config).is_file() and args.data != "sample"
        else:
            assert args.checkpoint == Path("work_dirs/q/best.pth")


@pytest.mark.parametrize(("test", "change", "expected"), [
    (None, {"data": None, "validation": None},
     {"test": None, "by class": None, "images": "train 400, val 50", "own data": None,
      "trained": "configs/quickstart.py on the data of the config"}),
    (TestResult({"voc/mAP": 0.25}), {}, {"test": "voc/mAP 0.250", "by class": None}),
    (TestResult({}, ClassificationScores(("a", "b"), np.array([[3, 1], [0, 4]]), {1: 0.875})),
     {"data": "sample", "tested_on_val": True, "is_classifier": True},
     {"test": "top-1 0.875, balanced accuracy 0.875, F1 0.873",
      "by class": "recall b 1.000, a 0.750",
      "images": "train 400, val 50, no test split: tested on val", "export": None,
      "own data": "detkit train configs/quickstart.py --data my/folder"}),
    (None, {"resumed": "work_dirs/q/epoch_9.pth", "seconds": 31.0},
     {"time": "10 epochs; 31.0 seconds since epoch_9.pth was resumed, training steps 12.0 "
              "minutes"}),
], ids=["no test", "another metric", "classifier", "resumed"])
def test_rows_of_other_runs(
    test: TestResult | None, change: dict[str, object], expected: dict[str, str | None],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    # F1 of a: 2*3 / (2*3 + 0 + 1) = 0.857; of b: 2*4 / (2*4 + 1 + 0) = 0.889.
    rows = screen(capsys, tmp_path, replace(SUMMARY, **change), test)
    assert {label: rows.get(label) for label in expected} == expected
    assert rows["predict"] == "detkit predict work_dirs/q/best.pth path/to/images --out results"


def test_without_a_checkpoint_there_is_no_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = screen(capsys, tmp_path, checkpoint=None)
    assert "trained" in rows and not {"next", "predict", "checkpoint"} & set(rows)


def test_control_characters_in_names_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = screen(capsys, tmp_path, replace(SUMMARY, classes=("a\x1b[2J",)))
    assert rows["classes"] == r"1: a\x1b[2J"
