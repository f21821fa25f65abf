"""``detkit video --target-fps``: reports the configs tried and the one it runs with."""

import pytest
from class_checkpoint import save_class_thumbnail
from numbered_video import read_back, write_video
from thumbnail_checkpoint import save_thumbnail

from detkit.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.mp4", 12)


def video(checkpoint, clip, tmp_path, *words):
    return main(["video", str(checkpoint), str(clip), "--out", str(tmp_path / "out.mp4"),
                 "--device", "cpu", *words])


def test_checkpoint_settings_are_kept_when_fast_enough(
        checkpoint, clip, tmp_path, capsys):
    assert video(checkpoint, clip, tmp_path, "--engine", "torch", "--target-fps", "0.01") == 0
    printed = capsys.readouterr()
    trial, choice = printed.err.splitlines()
    config = trial.partition(":")[0]
    assert choice.startswith(f"--target-fps 0.01: {config}, ")
    assert len(read_back(tmp_path / "out.mp4")[0]) == 12


def test_unreachable_fps_takes_fastest_config_and_reports_it(
        checkpoint, clip, tmp_path, capsys):
    assert video(checkpoint, clip, tmp_path, "--engine", "torch", "--target-fps", "1e6") == 0
    *trials, choice = capsys.readouterr().err.splitlines()
    # After the first, all configs but the last and fastest are predicted to be too slow.
    assert len(trials) == 2
    assert choice.startswith("--target-fps 1e+06 is not reached: ")
    assert len(read_back(tmp_path / "out.mp4")[0]) == 12


def test_values_given_by_flags_are_not_tuned(checkpoint, clip, tmp_path, capsys):
    assert video(checkpoint, clip, tmp_path, "--engine", "torch", "--target-fps", "1e6",
                 "--size", "64", "--max-proposals", "5") == 0
    trial, choice = capsys.readouterr().err.splitlines()
    assert trial.startswith("the given size, 5 proposals, batch 1: ")


@pytest.mark.parametrize("words, message", [
    (["--engine", "mmdet"], "nothing to vary with --engine mmdet"),
    (["--target-fps", "0"], "got '0', expected a number above 0"),
], ids=["mmdet", "zero"])
def test_target_fps_with_nothing_to_tune_is_one_line(
        checkpoint, clip, tmp_path, capsys, words, message):
    assert video(checkpoint, clip, tmp_path, "--target-fps", "30", *words) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out.mp4").exists()


def test_exported_folder_cannot_be_tuned(clip, tmp_path, capsys):
    (tmp_path / "engine").mkdir()
    assert video(tmp_path / "engine", clip, tmp_path, "--target-fps", "30") == 2
    assert "is an exported folder" in capsys.readouterr().err.splitlines()[-1]


def test_classifier_cannot_be_tuned(clip, tmp_path, capsys):
    path = save_class_thumbnail(tmp_path / "classifier.pth")
    assert video(path, clip, tmp_path, "--target-fps", "30") == 2
    assert "classifier" in capsys.readouterr().err.splitlines()[-1]
