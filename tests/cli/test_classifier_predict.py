"""``detkit predict`` with a classifier: JSON, CSV, table and images."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from class_checkpoint import CLASSES, save_class_thumbnail
from PIL import Image
from thumbnail_checkpoint import save_thumbnail

from detkit.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_class_thumbnail(tmp_path_factory.mktemp("classifier") / "classifier.pth")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two valid images and an invalid one."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, seed, size in (("a.png", 0, (60, 40)), ("b.jpg", 1, (300, 400))):
        small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(folder / name)
    (folder / "c.jpg").write_text("not an image")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_valid_images_are_classified_and_invalid_reported(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(folder), "--out", str(out), "--top-k", "3",
                 "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    document = json.loads((out / "predictions.json").read_text())
    assert document["classes"] == list(CLASSES)
    sizes = [(Path(entry["file"]).name, entry["width"], entry["height"])
             for entry in document["images"]]
    assert sizes == [("a.png", 60, 40), ("b.jpg", 300, 400)]
    rows = rows_of(out / "predictions.csv")
    for image, row in zip(document["images"], rows, strict=True):
        probabilities = [entry["probability"] for entry in image["top"]]
        assert len(probabilities) == 3
        assert probabilities == sorted(probabilities, reverse=True)
        assert all(entry["class"] == CLASSES[entry["label"]] for entry in image["top"])
        assert row["path"] == image["file"] and row["label"] == image["top"][0]["class"]
        assert float(row["probability"]) == pytest.approx(probabilities[0], abs=1e-6)
        assert sum(float(row[f"p_{name}"]) for name in CLASSES) == pytest.approx(1, abs=1e-5)
        assert float(row[f"p_{row['label']}"]) == float(row["probability"])
    assert [Path(entry["file"]).name for entry in document["failed"]] == ["c.jpg"]
    assert "1 of 3 images could not be processed" in printed.err and "c.jpg: not an" in printed.err
    table = printed.out.splitlines()
    assert table[0].split() == ["image", "size", "label", "top", "3"]
    assert sum(bool(re.search(r" \d+x\d+ ", line)) for line in table) == 2
    # 60x40 is enlarged 7 times (256 / 40, rounded up), 300x400 is not.
    sizes = {path.name: Image.open(path).size for path in out.glob("*.jpg")}
    assert sizes == {"a.jpg": (420, 280), "b.jpg": (300, 400)}


def test_no_images_flag_and_top_k_beyond_classes(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(folder / "a.png"), "--out", str(out),
                 "--no-images", "--top-k", "99", "--threshold", "1", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert sorted(path.name for path in out.iterdir()) == ["predictions.csv", "predictions.json"]
    image, = json.loads((out / "predictions.json").read_text())["images"]
    assert len(image["top"]) == len(CLASSES)
    assert image["picture"] is None and image["sure"] is False
    assert "unsure" in printed.out and printed.err == ""


def test_interrupt_exits_130_with_complete_results_so_far(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2000):
        os.link(folder / "a.png", folder / f"x{number}.png")
    out = tmp_path / "out"
    ended = threading.Event()

    def stop() -> None:
        while not (out / "x1.jpg").exists():
            if ended.wait(0.01):
                return
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        code = main(["predict", str(checkpoint), str(folder), "--out", str(out),
                     "--device", "cpu"])
    finally:
        ended.set()
        thread.join()
    assert code == 130
    progress, message = capsys.readouterr().err.splitlines()
    done = json.loads((out / "predictions.json").read_text())["images"]
    assert message == "interrupted" and 2 < len(done) < 2000
    # The count includes c.jpg, which cannot be read.
    assert int(progress.partition(" of 2003 images")[0]) in (len(done), len(done) + 1)
    assert [row["path"] for row in rows_of(out / "predictions.csv")] == [
        entry["file"] for entry in done]
    assert not list(out.glob(".*"))
    for entry in done:
        Image.open(out / entry["picture"]).load()


@pytest.mark.parametrize("flags, message", [
    (["--top-k", "0"], "at least 1"), (["--top-k", "-2"], "at least 1"),
    (["--top-k", "two"], "got two, expected an integer"),
    (["--threshold", "1.5"], "from 0 to 1"),
], ids=str)
def test_bad_flags_exit_2_and_write_nothing(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    flags: list[str], message: str,
) -> None:
    assert main(["predict", str(checkpoint), str(folder), "--out", str(tmp_path / "out"),
                 *flags]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_top_k_with_detector_is_one_line_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = save_thumbnail(tmp_path / "detector.pth")
    assert main(["predict", str(detector), str(folder), "--out", str(tmp_path / "out"),
                 "--top-k", "3", "--device", "cpu"]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert "--top-k" in line and "detector.pth" in line and "a detector" in line
    assert not (tmp_path / "out").exists()


def test_class_count_mismatch_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    misfit = save_class_thumbnail(tmp_path / "misfit.pth", num_classes=4)
    assert main(["predict", str(misfit), str(folder), "--out", str(tmp_path / "out"),
                 "--device", "cpu"]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert "got 4 classes, expected 6" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_real_photos_end_to_end(
    checkpoint: Path, shared_data: Path, tmp_path: Path, repository: Path
) -> None:
    glass = shared_data / "cls_trashnet" / "dataset-resized" / "glass"
    photos = [*sorted(glass.glob("*.jpg"))[:20], shared_data / "photos"]
    done = subprocess.run(
        [sys.executable, "tools/predict.py", str(checkpoint), *map(str, photos), "--out",
         str(tmp_path / "out"), "--device", "cpu"],
        cwd=repository, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert len(rows) > 20 and len(list((tmp_path / "out").glob("*.jpg"))) == len(rows)
    assert done.stdout.splitlines()[-2].startswith(f"{len(rows)} images")
