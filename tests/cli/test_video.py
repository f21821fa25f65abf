"""``detkit video``: every frame is processed; each error is one line."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from numbered_video import numbered_image, read_back, write_video
from thumbnail_checkpoint import CLASSES, save_thumbnail

from detkit.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", 12)


def rows_of(printed: str) -> dict[str, list[str]]:
    """The cells of each row of the table, by its name."""
    cells = [re.split(r"  +", line.strip()) for line in printed.splitlines()]
    return {name: rest for name, *rest in cells}


@pytest.mark.parametrize("engine", ["auto", "mmdet"])
def test_every_frame_is_written_and_timings_are_printed(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    out, lines = tmp_path / "new" / "out.mp4", tmp_path / "new" / "out.jsonl"
    assert main(["video", str(checkpoint), str(clip), "--out", str(out), "--json", str(lines),
                 "--threshold", "0", "--device", "cpu", "--engine", engine]) == 0
    printed = capsys.readouterr()
    rows = rows_of(printed.out)
    assert rows["frames in"] == rows["frames out"] == ["12"] and rows["frames dropped"] == ["0"]
    assert {"seconds", "frames per second", "peak memory, MB", "decode", "detect", "draw",
            "encode", "waiting", "end to end", "engine"} <= set(rows)
    assert rows["engine"][0].startswith("mmdet") == (engine == "mmdet")
    assert "track" not in rows
    assert printed.err == ""
    assert len(read_back(out)[0]) == 12
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(12))
    assert [record["seconds"] for record in records] == [index / 25 for index in range(12)]
    detections = [detection for record in records for detection in record["detections"]]
    assert detections and all(detection["class"] == CLASSES[detection["label"]]
                              for detection in detections)


def test_tracks_and_counts_are_in_json_and_drawn(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model is untrained and the images hardly change: detections stay where they are."""
    lines = tmp_path / "out.jsonl"
    assert main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"),
                 "--json", str(lines), "--threshold", "0.2", "--device", "cpu",
                 "--count-line", "0,32,160,32", "--zone", "0,0,160,0,160,64,0,64",
                 "--zone", "1000,1000,1010,1000,1000,1010"]) == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    ids = [{detection["track"] for detection in record["detections"]} for record in records]
    assert ids[0] <= {None}, "a track gets its id in its second frame"
    assert ids[-1] & ids[-2] - {None}
    assert all(record["counts"][2] == {"inside": 0, "visitors": 0} for record in records)
    line, zone, _ = records[-1]["counts"]
    assert set(line) == {"in", "out"} and zone["inside"] <= zone["visitors"] > 0
    rows = rows_of(capsys.readouterr().out)
    assert rows["line 0,32,160,32"][0].startswith(f"in {line['in']}")
    assert rows["zone 0,0,160,0,160,64,0,64"][0].startswith(f"unique objects {zone['visitors']} (")
    assert rows["zone 1000,1000,1010,1000,1000,1010"] == ["unique objects 0"]
    assert "track" in rows


def test_json_without_out_writes_no_video(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "out.jsonl"
    assert main(["video", str(checkpoint), str(clip), "--json", str(lines), "--device", "cpu",
                 "--engine", "mmdet"]) == 0
    assert len(lines.read_text().splitlines()) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.jsonl"]
    assert "encode" not in rows_of(capsys.readouterr().out)


def test_folder_of_images_is_read_as_video(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(11):
        Image.fromarray(numbered_image(index)).save(folder / f"{index}.png")
    assert main(["video", str(checkpoint), str(folder), "--out", str(tmp_path / "out.mp4"),
                 "--fps", "10", "--threshold", "1", "--device", "cpu", "--engine", "mmdet"]) == 0
    indices, times = read_back(tmp_path / "out.mp4")
    assert indices == list(range(11)) and times[-1] == 1


def test_audio_is_kept_unless_disabled(checkpoint: Path, tmp_path: Path) -> None:
    import av

    clip = write_video(tmp_path / "clip.mp4", 8, audio=("aac", 44100))
    for flags, streams in (([], 2), (["--no-audio"], 1)):
        assert main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"),
                     "--force", "--device", "cpu", "--engine", "mmdet", *flags]) == 0
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert len(container.streams) == streams


def test_live_run_of_a_file_drops_frames(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_video(tmp_path / "clip.mp4", 120, rate=120)
    assert main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"), "--live",
                 "--device", "cpu", "--engine", "mmdet"]) == 0
    rows = rows_of(capsys.readouterr().out)
    out, dropped = int(rows["frames out"][0]), int(rows["frames dropped"][0])
    assert out + dropped == int(rows["frames in"][0]) == 120
    assert len(read_back(tmp_path / "out.mp4")[0]) == out


@pytest.mark.slow
def test_real_video_end_to_end(
    checkpoint: Path, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared_data / "video_dev" / "car-detection.mp4"
    assert main(["video", str(checkpoint), str(source), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu", "--track"]) == 0
    printed = capsys.readouterr()
    assert rows_of(printed.out)["frames out"] == ["377"]
    assert printed.err == ""


@pytest.mark.parametrize("argv, message", [
    (["{ckpt}", "{tmp}/no.mp4", "--out", "{tmp}/out.mp4"], "no.mp4: no such file"),
    (["{ckpt}", "{tmp}/text.mp4", "--out", "{tmp}/out.mp4"], "text.mp4: cannot be opened"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/text.mp4"], "text.mp4: already exists"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/out.mp4", "--json", "{tmp}/text.mp4"],
     "text.mp4: already exists"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/clip.mp4", "--force"], "is the input video"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/out.mp4", "--json", "{tmp}/clip.mp4",
      "--force"], "is the input video"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/o.mp4", "--json", "{tmp}/o.mp4", "--force"],
     "is also the --out file"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/out.gif"], "a name ending in .mp4"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/text.mp4/out.mp4"], "cannot be written"),
    (["{tmp}/no.pth", "{tmp}/clip.mp4", "--out", "{tmp}/out.mp4"], "no.pth"),
    (["{ckpt}", "{tmp}/clip.mp4"], "--out"),
    (["{ckpt}", "{tmp}/clip.mp4", "--json", "{tmp}/o.jsonl", "--fps", "25"], "leave --fps out"),
    (["{ckpt}", "{tmp}/clip.mp4", "--json", "{tmp}/o.jsonl", "--fps", "0"], "--fps"),
    (["{ckpt}", "{tmp}/clip.mp4", "--json", "{tmp}/o.jsonl", "--count-line", "1,2,3"], "pairs"),
    (["{ckpt}", "{tmp}/clip.mp4", "--json", "{tmp}/o.jsonl", "--count-line", "1,2,3,4,5,6"],
     "four numbers"),
    (["{ckpt}", "{tmp}/clip.mp4", "--json", "{tmp}/o.jsonl", "--zone", "1,2,3,4"],
     "three or more corners"),
    (["{ckpt}", "{tmp}/clip.mp4", "--json", "{tmp}/o.jsonl", "--count-line", "5,5,5,5",
      "--engine", "mmdet"], "count line"),
    (["{ckpt}", "{tmp}/clip.mp4", "--json", "{tmp}/o.jsonl", "--size", "3x4x5"], "HxW"),
    (["{ckpt}", "97", "--json", "{tmp}/o.jsonl"], "camera 97"),
    (["{ckpt}", "http://127.0.0.1:9/x", "--json", "{tmp}/o.jsonl"], "Connection refused"),
    (["{ckpt}", "ftp://127.0.0.1/x", "--json", "{tmp}/o.jsonl"], "got 'ftp'"),
    (["{ckpt}", "{tmp}/empty", "--json", "{tmp}/o.jsonl"], "contains no images"),
], ids=["missing", "text", "out-exists", "json-exists", "onto-itself", "json-onto-it",
        "json-onto-out", "suffix", "below-a-file", "no-checkpoint", "no-out",
        "fps-of-a-file", "fps-0", "odd-line", "long-line", "short-zone", "line-of-a-point", "size",
        "no-camera", "no-server", "ftp", "empty-folder"])
def test_bad_input_is_one_line_and_writes_nothing(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    argv: list[str], message: str,
) -> None:
    (tmp_path / "text.mp4").write_text("text")
    (tmp_path / "empty").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    words = [word.format(ckpt=checkpoint, tmp=tmp_path) for word in argv]
    code = main(["video", *words, *([] if "--engine" in words else ["--engine", "mmdet"])])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert message in last and "error: " in last
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_truncated_video_reports_kept_file(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_video(tmp_path / "full.mp4", 60, options={"movflags": "faststart"}).read_bytes()
    truncated = tmp_path / "cut.mp4"
    truncated.write_bytes(data[:-len(data) // 4])
    code = main(["video", str(checkpoint), str(truncated), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu", "--engine", "mmdet"])
    errors = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(errors) == 1 and "cut.mp4" in errors[0] and "out.partial.mp4" in errors[0]
    assert len(read_back(tmp_path / "out.partial.mp4")[0]) > 10
    assert not (tmp_path / "out.mp4").exists()


def test_failed_run_keeps_existing_json_file_and_full_disk_is_reported(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "out.jsonl"
    lines.write_text("before")
    (tmp_path / "images").mkdir()
    words = ["video", str(checkpoint), str(clip), "--device", "cpu", "--engine", "mmdet", "--force"]
    broken = [*words[:2], str(tmp_path / "images"), *words[3:], "--json", str(lines)]
    assert main(broken) == 2 and lines.read_text() == "before"
    assert "contains no images" in capsys.readouterr().err
    if Path("/dev/full").exists():
        assert main([*words, "--json", "/dev/full", "--out", str(tmp_path / "out.mp4")]) == 2
        message, = capsys.readouterr().err.splitlines()
        assert message.startswith(
            "error: /dev/full: cannot be written: got No space left on device")
        assert not (tmp_path / "out.mp4").exists()


def test_unwritable_folder_is_reported_before_loading(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["video", "none.pth", str(clip), "--json", str(tmp_path / "file" / "a.jsonl")]) == 2
    message, = capsys.readouterr().err.splitlines()
    assert "a.jsonl: cannot be written" in message and "is not a folder" in message


@pytest.mark.parametrize("library, flags", [("av", []), ("trackers", ["--track"])])
def test_missing_library_names_its_extra(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, library: str, flags: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    assert main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu", "--engine", "mmdet", *flags]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"'{library}'" in last and "detkit[video]" in last


@pytest.mark.parametrize("kind, code, message", [
    (signal.SIGINT, 130, "interrupted"),
    pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.slow),
], ids=["ctrl-c", "sigterm"])
def test_signal_ends_run_and_reports_kept_file(
    checkpoint: Path, tmp_path: Path, repository: Path, kind: int, code: int, message: str
) -> None:
    clip = write_video(tmp_path / "long.mp4", 600)
    child = subprocess.Popen(
        [sys.executable, "-u", "tools/video.py", str(checkpoint), str(clip), "--out",
         str(tmp_path / "out.mp4"), "--json", "/dev/stdout", "--force", "--device", "cpu",
         "--threshold", "1", "--engine", "mmdet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository,
    )
    assert child.stdout is not None
    for index in range(5):
        assert child.stdout.readline().startswith(f'{{"frame": {index}')
    child.send_signal(kind)
    _, errors = child.communicate(timeout=120)  # only a hang takes longer
    assert child.returncode == code, errors
    kept, word = errors.strip().splitlines()
    assert word == message
    count = int(re.match(r"the (\d+) frames .*out.partial.mp4", kept).group(1))
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(count))


def test_signal_is_reraised_after_reporting_kept_frames(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Signals are subclasses of KeyboardInterrupt; the exit code depends on which it is."""
    from dataclasses import replace

    from detkit.cli import video
    from detkit.cli.main import build_parser
    from detkit.video import video_task

    class Signal(KeyboardInterrupt):
        pass

    detection_task, predicted = video_task.detection_task, []

    def stopping_task(*args):
        task = detection_task(*args)

        def predict(images):
            predicted.extend(images)
            if len(predicted) > 5:
                raise Signal
            return task.predict(images)

        return replace(task, predict=predict, workers=1)

    monkeypatch.setattr(video_task, "detection_task", stopping_task)
    words = [str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"), "--device", "cpu",
             "--engine", "mmdet", "--threshold", "1"]
    with pytest.raises(Signal):
        video.run(build_parser("video", "video").parse_args(words))
    assert "the 5 frames that were done are kept in" in capsys.readouterr().err
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(5))
