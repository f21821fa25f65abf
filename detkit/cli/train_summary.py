"""The screen at the end of ``train``: what was trained, its scores, files and next commands."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.text import list_names, printable, shorten

if TYPE_CHECKING:
    from detkit.engine.results import TestResult, TrainResult
    from detkit.engine.run_summary import RunSummary

SUMMARY_FILE = "summary.txt"
OWN_DATA_CONFIG = "cascade_efficientnet_lite0.py"  # after a training on the built-in sample
MAX_NAME_CHARS = 14  # of a class
CLASSES_LISTED = 5
EXTREME_CLASSES = 2  # best and worst

Rows = list[tuple[str, str]]


def summary_rows(result: TrainResult, summary: RunSummary) -> tuple[Rows, Rows, Rows]:
    """Labels and texts of the screen.

    Returns:
        What was trained and its scores; the files; the next commands. Each may be empty.
    """
    data = {None: "the data of the config", "sample": "the built-in sample"}.get(
        summary.data, summary.data)
    about = [("trained", f"{summary.config} on {data}"),
             ("model", summary.model), ("began with", summary.weights),
             ("classes", _class_list(summary.classes)),
             ("images", _image_counts(result.test, summary)),
             ("time", _time(summary))]
    if summary.validation is not None:
        name, value, position = summary.validation
        about.append(("validation", f"{name} {value:.3f}, the best, after {position}"))
    if result.test is not None:
        about += _score_rows(result.test)
    files = [("checkpoint", result.checkpoint), ("curves", summary.curves),
             ("confusion", result.confusion_matrix), ("ledger", summary.ledger),
             ("log", summary.log)]
    return ([row for row in about if row[1]],
            [(label, str(path)) for label, path in files if path is not None],
            [] if result.checkpoint is None else next_commands(result, summary))


def next_commands(result: TrainResult, summary: RunSummary) -> Rows:
    """Commands for the new checkpoint, and after the built-in sample one for own data."""
    checkpoint = str(result.checkpoint)
    is_detector = not summary.is_classifier
    rows = [
        ("predict", _command("predict", checkpoint, "path/to/images", "--out", "results")),
        ("video", _command("video", checkpoint, "video.mp4", "--out", "results.mp4",
                           *(["--track"] if is_detector else []))),
    ]
    if is_detector:
        data = ["--data", summary.data] if summary.data else []
        rows.append(("export", _command("export", checkpoint, "--out", "exported", *data)))
    if summary.data == "sample":
        config = Path(summary.config)
        advised = config.with_name(OWN_DATA_CONFIG)
        rows.append(("own data", _command(
            "train", str(advised if is_detector and advised.is_file() else config),
            "--data", "my/folder")))
    return rows


def print_summary(result: TrainResult) -> None:
    """Print the screen to stdout, in color on a terminal, and write it to the work dir."""
    if result.summary is None:
        return
    about, files, commands = summary_rows(result, result.summary)
    blocks = [_lines(rows) for rows in (about, files, commands) if rows]
    if commands:
        blocks[-1].insert(0, ("next", ""))
    text = "\n\n".join("\n".join(f"{label}{value}" for label, value in block) for block in blocks)
    _write(result.work_dir / SUMMARY_FILE, text)
    if not sys.stdout.isatty():
        print(f"\n{text}")
        return
    from rich.console import Console
    from rich.text import Text

    # soft_wrap: a path or command is never cut or broken by the console.
    console = Console(soft_wrap=True, highlight=False)
    console.print()
    console.rule("training finished", style="green", align="left")
    for block, style in zip(blocks, ("", "", "cyan")):
        console.print()
        for label, value in block:
            console.print(Text.assemble((label, "bold"), (value, style)))


def _lines(rows: Rows) -> Rows:
    """The rows with labels of equal width, and control characters in names escaped."""
    return [(f"{label:<12}", printable(value)) for label, value in rows]


def _write(path: Path, text: str) -> None:
    from detkit.files import atomic_replace

    try:
        with atomic_replace(path) as file:
            file.write(f"{text}\n")
    except OSError as error:
        print(f"warning: {path}: not written ({error.strerror})", file=sys.stderr)


def _class_list(classes: tuple[str, ...]) -> str:
    if not classes:
        return ""
    names = list_names((shorten(name, MAX_NAME_CHARS) for name in classes), CLASSES_LISTED)
    return f"{len(classes)}: {names}"


def _image_counts(test: TestResult | None, summary: RunSummary) -> str:
    words = [f"{split} {count}" for split, count in summary.images.items()]
    if test is not None and summary.tested_on_val:
        words.append("no test split: tested on val")
    elif test is not None and test.scores is not None:
        words.append(f"test {test.scores.images}")
    return ", ".join(words)


def _time(summary: RunSummary) -> str:
    whole, training = _minutes(summary.seconds), summary.training_seconds
    text = (f"{summary.schedule} in {whole}" if summary.resumed is None else
            f"{summary.schedule}; {whole} since {Path(summary.resumed).name} was resumed")
    return text if training is None else f"{text}, training steps {_minutes(training)}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} seconds" if seconds < 60 else f"{seconds / 60:.1f} minutes"


def _score_rows(test: TestResult) -> Rows:
    from detkit.evaluation.classification.classification_scores import ClassificationScores

    if test.scores is None:
        named = list(test.metrics.items())[:4]
        per_class, measure = [], ""
    elif isinstance(test.scores, ClassificationScores):
        named = [("top-1", test.scores.top[min(test.scores.top)]),
                 ("balanced accuracy", test.scores.stats["balanced_accuracy"]),
                 ("F1", test.scores.stats["f1"])]
        per_class, measure = [(item.name, item.recall) for item in test.scores.per_class], "recall"
    else:
        named = [("AP", test.scores.AP), ("AP50", test.scores.AP50), ("AP75", test.scores.AP75)]
        per_class, measure = [(item.name, item.AP) for item in test.scores.per_class], "AP"
    return [("test", ", ".join(f"{name} {_score(value)}" for name, value in named)),
            ("by class", _extremes(per_class, measure))]


def _extremes(per_class: list[tuple[str, float]], measure: str) -> str:
    """The best and the worst classes; empty with fewer than two."""
    ranked = sorted((item for item in per_class if not math.isnan(item[1])),
                    key=lambda item: -item[1])
    words = [f"{shorten(name, MAX_NAME_CHARS)} {value:.3f}" for name, value in ranked]
    if len(words) < 2:
        return ""
    if len(words) <= 2 * EXTREME_CLASSES:
        return f"{measure} {', '.join(words)}"
    return (f"{measure} best: {', '.join(words[:EXTREME_CLASSES])}; "
            f"worst: {', '.join(words[-EXTREME_CLASSES:])}")


def _score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _command(*words: str) -> str:
    """A command in the form that started this one: ``detkit NAME`` or ``python tools/NAME.py``."""
    name, *rest = words
    script = Path(sys.argv[0])
    if script.name == "train.py":
        start = [_python(), str(script.with_name(f"{name}.py"))]
    else:
        # The program of an environment that is not activated is called by its path.
        is_path = script.name == "detkit" and shutil.which("detkit") is None
        start = [_short_path(sys.argv[0]) if is_path else "detkit", name]
    return shlex.join([*start, *rest])


def _python() -> str:
    """The shortest name of this interpreter."""
    return "python" if shutil.which("python") == sys.executable else _short_path(sys.executable)


def _short_path(path: str) -> str:
    """``path`` from the current folder if it is inside, else as it is; links are kept."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
