"""``detkit video`` with a classifier: a smoothed label for every frame."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from class_checkpoint import CLASSES, save_class_thumbnail
from numbered_video import read_back, write_video
from thumbnail_checkpoint import save_thumbnail

from detkit import Classifications, Predictor
from detkit.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_class_thumbnail(tmp_path_factory.mktemp("classifier") / "classifier.pth")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", 12)


@pytest.mark.parametrize("flags, window", [([], 15), (["--window", "1"], 1),
                                           (["--window", "4"], 4)], ids=str)
def test_frames_have_raw_scores_and_smoothed_label(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    flags: list[str], window: int,
) -> None:
    from detkit.video.io.reader import VideoReader

    out, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    assert main(["video", str(checkpoint), str(clip), "--out", str(out), "--json", str(lines),
                 "--device", "cpu", *flags]) == 0
    printed = capsys.readouterr()
    assert re.search(r"^frames out +12$", printed.out, re.MULTILINE)
    assert "engine" in printed.out.splitlines()[-1]
    assert printed.err == ""
    assert read_back(out)[1] == read_back(clip)[1]
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(12))

    predictor = Predictor[Classifications](checkpoint, "cpu")
    reader = VideoReader(clip)
    probabilities = np.stack([predictor(frame.image).probabilities for frame in reader])
    reader.close()
    for index, record in enumerate(records):
        raw = probabilities[index]
        assert [entry["label"] for entry in record["top"]] == np.argsort(-raw)[:5].tolist()
        assert record["top"][0]["probability"] == pytest.approx(raw.max(), abs=1e-5)
        mean = probabilities[max(0, index + 1 - window):index + 1].mean(axis=0)
        smoothed = record["smoothed"]
        assert smoothed["label"] == mean.argmax()
        assert smoothed["class"] == CLASSES[smoothed["label"]] and smoothed["sure"] is True
        assert smoothed["probability"] == pytest.approx(mean.max(), abs=1e-5)


def test_label_below_threshold_is_unsure(
    checkpoint: Path, clip: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "out.jsonl"
    assert main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"),
                 "--json", str(lines), "--threshold", "1", "--device", "cpu"]) == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {record["smoothed"]["sure"] for record in records} == {False}


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_invalid_window_exits_2(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    assert main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"),
                 "--window", value]) == 2
    assert "--window" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out.mp4").exists()


def test_window_with_detector_is_one_line_error(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = save_thumbnail(tmp_path / "detector.pth")
    before = sorted(tmp_path.iterdir())
    assert main(["video", str(detector), str(clip), "--out", str(tmp_path / "out.mp4"),
                 "--window", "5", "--json", str(tmp_path / "out.jsonl"), "--device", "cpu",
                 "--engine", "mmdet"]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert "--window" in line and "detector.pth" in line and "a detector" in line
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("flags", [
    ["--track"], ["--count-line", "0,0,9,9"], ["--zone", "0,0,9,9,0,9"], ["--engine", "onnx"],
    ["--precision", "bf16"], ["--size", "64"],
], ids=lambda flags: flags[0])
def test_detector_flags_with_classifier_are_one_line_error(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    flags: list[str],
) -> None:
    assert main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu", *flags]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert flags[0] in line and "classifier" in line
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.slow
def test_real_video_end_to_end(
    checkpoint: Path, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared_data / "video_dev" / "bottle-detection.mp4"
    assert main(["video", str(checkpoint), str(source), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu"]) == 0
    assert re.search(r"^frames out +1189$", capsys.readouterr().out, re.MULTILINE)
