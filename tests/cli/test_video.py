"""``detkit video``: all frames, one line of sums, one line for each fault."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from numbered_video import read_back, write_video
from thumbnail_checkpoint import CLASSES, save_thumbnail

from detkit.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", 12)


def test_every_frame_goes_through_and_the_last_line_says_how_fast(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, lines = tmp_path / "new" / "out.mp4", tmp_path / "new" / "out.jsonl"
    assert main(["video", str(checkpoint), str(clip), "--out", str(out), "--json", str(lines),
                 "--threshold", "0", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(
        r"12 frames in, 12 frames out, \d+\.\d s, \d+\.\d frames per second",
        printed.out.splitlines()[-1],
    )
    assert printed.err == ""
    assert len(read_back(out)[0]) == 12
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(12))
    assert [record["seconds"] for record in records] == [n / 25 for n in range(12)]
    found = [one for record in records for one in record["detections"]]
    assert found and all(one["class"] == CLASSES[one["label"]] for one in found)


@pytest.mark.slow
def test_a_real_video_from_end_to_end(
    checkpoint: Path, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shared_data / "video_dev" / "car-detection.mp4"
    assert main(["video", str(checkpoint), str(source), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("377 frames in, 377 frames out, ")
    assert "sound is left out" in printed.err


@pytest.mark.parametrize("argv, message", [
    (["{ckpt}", "{tmp}/no.mp4", "--out", "{tmp}/out.mp4"], "no.mp4: no such file"),
    (["{ckpt}", "{tmp}/text.mp4", "--out", "{tmp}/out.mp4"], "text.mp4: cannot be opened"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/text.mp4"], "text.mp4: exists"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/out.mp4", "--json", "{tmp}/text.mp4"],
     "text.mp4: exists"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/clip.mp4", "--force"], "is the video to read"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/out.mp4", "--json", "{tmp}/clip.mp4",
      "--force"], "is the video to read"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/o.mp4", "--json", "{tmp}/o.mp4", "--force"],
     "is the --out file, too"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/out.gif"], "a name ending in .mp4"),
    (["{ckpt}", "{tmp}/clip.mp4", "--out", "{tmp}/text.mp4/out.mp4"], "cannot be written"),
    (["{tmp}/no.pth", "{tmp}/clip.mp4", "--out", "{tmp}/out.mp4"], "no.pth"),
    (["{ckpt}", "{tmp}/clip.mp4"], "--out"),
], ids=["missing", "text", "out-exists", "json-exists", "onto-itself", "json-onto-it",
        "json-onto-out", "suffix", "below-a-file", "no-checkpoint", "no-out"])
def test_bad_input_is_2_with_one_line_and_leaves_nothing(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    argv: list[str], message: str,
) -> None:
    (tmp_path / "text.mp4").write_text("precious")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    code = main(["video", *(word.format(ckpt=checkpoint, tmp=tmp_path) for word in argv)])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert message in last and "error: " in last
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_video_cut_off_names_what_is_kept(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write_video(tmp_path / "whole.mp4", 60, options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-len(whole.read_bytes()) // 4])
    code = main(["video", str(checkpoint), str(cut), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu"])
    errors = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(errors) == 1 and "cut.mp4" in errors[0] and "out.partial.mp4" in errors[0]
    assert len(read_back(tmp_path / "out.partial.mp4")[0]) > 10
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("library", ["av", "supervision"])
def test_a_missing_library_is_said_with_its_extra(
    checkpoint: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, library: str,
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    assert main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"'{library}'" in last and "detkit[video]" in last


def test_ctrl_c_is_130_and_names_what_is_kept(
    checkpoint: Path, tmp_path: Path, repository: Path
) -> None:
    clip = write_video(tmp_path / "long.mp4", 600)
    child = subprocess.Popen(
        [sys.executable, "-u", "tools/video.py", str(checkpoint), str(clip), "--out",
         str(tmp_path / "out.mp4"), "--json", "/dev/stdout", "--force", "--device", "cpu",
         "--threshold", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository,
    )
    assert child.stdout is not None
    for number in range(5):
        assert child.stdout.readline().startswith(f'{{"frame": {number}')
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=120)  # only a hang takes longer
    assert child.returncode == 130, errors
    kept, word = errors.strip().splitlines()
    assert word == "interrupted"
    count = int(re.match(r"the (\d+) frames .*out.partial.mp4", kept).group(1))
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(count))
