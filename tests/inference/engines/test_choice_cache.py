"""What ``engine='auto'`` chose is kept for the same model, size and machine, and for no other."""

import shutil

import pytest

from detkit.inference.engines import engine_choice
from detkit.inference.engines.choice_cache import (
    EngineChoice,
    choice_file,
    read_choice,
    write_choice,
)
from detkit.inference.engines.engine_choice import CANDIDATES
from detkit.inference.export import checkpoint_engines
from detkit.inference.export.checkpoint_engines import CheckpointEngines

CANVAS = (64, 96)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, and one quick engine to try."""
    monkeypatch.setitem(CANDIDATES, "cpu", ("torch",))
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def engine_of(checkpoint, pictures):
    return CheckpointEngines(checkpoint, "auto", "f32", 1, "cpu").engine(CANVAS, pictures[0][0])


def test_engines_are_tried_once(thumbnail, pictures, cache, monkeypatch):
    first = engine_of(thumbnail, pictures)
    kept, = (cache / "engines").iterdir()
    assert read_choice(kept) == EngineChoice(first.name, first.precision)

    def tried_again(*args, **kwargs):
        raise AssertionError("engines are tried again")

    monkeypatch.setattr(checkpoint_engines, "choose_engine", tried_again)
    second = engine_of(thumbnail, pictures)
    assert (second.name, second.precision) == (first.name, first.precision)
    kept.write_text("{")
    with pytest.raises(AssertionError, match="tried again"):
        engine_of(thumbnail, pictures)


def test_a_choice_that_does_not_run_any_more_is_made_again(thumbnail, pictures, caplog):
    path = choice_file(thumbnail, canvas_hw=CANVAS, precision="f32", streams=1, device="cpu",
                       max_proposals=None)
    write_choice(path, EngineChoice("tensorrt", "f32"), {})
    assert engine_of(thumbnail, pictures).name != "tensorrt"
    assert "tensorrt f32, chosen before, does not run now" in caplog.text
    assert read_choice(path) != EngineChoice("tensorrt", "f32")


def test_another_model_size_or_machine_has_a_choice_of_its_own(thumbnail, tmp_path, monkeypatch):
    first = choice_file(thumbnail, canvas_hw=CANVAS)
    copy = shutil.copy(thumbnail, tmp_path / "renamed.pth")
    assert choice_file(copy, canvas_hw=CANVAS) == first
    assert choice_file(thumbnail, canvas_hw=(96, 64)) != first
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert choice_file(thumbnail, canvas_hw=CANVAS) != first
    monkeypatch.undo()
    with open(copy, "ab") as file:
        file.write(b"more")
    assert choice_file(copy, canvas_hw=CANVAS).name != first.name


def test_a_choice_made_beside_others_or_short_of_memory_is_not_kept(
    thumbnail, pictures, cache, monkeypatch
):
    monkeypatch.setattr(engine_choice, "cores_are_shared", lambda: True)
    assert engine_of(thumbnail, pictures).name == "torch"
    assert not (cache / "engines").exists()


def test_a_user_without_a_home_keeps_nothing(thumbnail, pictures, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DETKIT_CACHE")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert choice_file(thumbnail, canvas_hw=CANVAS) is None
    assert engine_of(thumbnail, pictures).precision == "f32"


def test_a_cache_that_cannot_be_written_stops_nothing(thumbnail, pictures, cache):
    cache.write_text("a file where the folder should be")
    assert engine_of(thumbnail, pictures).precision == "f32"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"engine": 1, "precision": "f32"}'])
def test_what_is_no_choice_is_none(content, tmp_path):
    (tmp_path / "choice.json").write_text(content)
    assert read_choice(tmp_path / "choice.json") is None
    assert read_choice(tmp_path / "absent.json") is None
