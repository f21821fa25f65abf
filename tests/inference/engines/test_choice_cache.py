"""What ``engine='auto'`` chose is kept for the same model, size and machine, and for no other."""

import shutil

import pytest

from detkit.inference.engines import engine_choice
from detkit.inference.engines.choice_cache import (
    CachedEngineChoice,
    choice_cache_path,
    read_cached_choice,
    write_cached_choice,
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


def engine_of(checkpoint, image_batch):
    return CheckpointEngines(checkpoint, "auto", "f32", 1, "cpu").engine(CANVAS, image_batch[0][0])


def test_engines_are_tried_once(thumbnail, image_batch, cache, monkeypatch):
    first = engine_of(thumbnail, image_batch)
    cache_file, = (cache / "engines").iterdir()
    assert read_cached_choice(cache_file) == CachedEngineChoice(first.name, first.precision)

    def tried_again(*args, **kwargs):
        raise AssertionError("engines are tried again")

    monkeypatch.setattr(checkpoint_engines, "choose_engine", tried_again)
    second = engine_of(thumbnail, image_batch)
    assert (second.name, second.precision) == (first.name, first.precision)
    cache_file.write_text("{")
    with pytest.raises(AssertionError, match="tried again"):
        engine_of(thumbnail, image_batch)


def test_a_choice_that_does_not_run_any_more_is_made_again(thumbnail, image_batch, caplog):
    path = choice_cache_path(thumbnail, input_hw=CANVAS, precision="f32", num_streams=1,
                             device="cpu", max_proposals=None)
    write_cached_choice(path, CachedEngineChoice("tensorrt", "f32"), {})
    assert engine_of(thumbnail, image_batch).name != "tensorrt"
    assert "tensorrt f32, chosen before, does not run now" in caplog.text
    assert read_cached_choice(path) != CachedEngineChoice("tensorrt", "f32")


def test_another_model_size_or_machine_has_a_choice_of_its_own(thumbnail, tmp_path, monkeypatch):
    first = choice_cache_path(thumbnail, input_hw=CANVAS)
    copy = shutil.copy(thumbnail, tmp_path / "renamed.pth")
    assert choice_cache_path(copy, input_hw=CANVAS) == first
    assert choice_cache_path(thumbnail, input_hw=(96, 64)) != first
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert choice_cache_path(thumbnail, input_hw=CANVAS) != first
    monkeypatch.undo()
    with open(copy, "ab") as file:
        file.write(b"more")
    assert choice_cache_path(copy, input_hw=CANVAS).name != first.name


def test_a_choice_made_beside_others_or_short_of_memory_is_not_kept(
    thumbnail, image_batch, cache, monkeypatch
):
    monkeypatch.setattr(engine_choice, "cores_are_shared", lambda: True)
    assert engine_of(thumbnail, image_batch).name == "torch"
    assert not (cache / "engines").exists()


def test_a_user_without_a_home_keeps_nothing(thumbnail, image_batch, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DETKIT_CACHE")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert choice_cache_path(thumbnail, input_hw=CANVAS) is None
    assert engine_of(thumbnail, image_batch).precision == "f32"


def test_a_cache_that_cannot_be_written_stops_nothing(thumbnail, image_batch, cache):
    cache.write_text("a file where the folder should be")
    assert engine_of(thumbnail, image_batch).precision == "f32"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"engine": 1, "precision": "f32"}'])
def test_invalid_cache_file_gives_none(content, tmp_path):
    (tmp_path / "choice.json").write_text(content)
    assert read_cached_choice(tmp_path / "choice.json") is None
    assert read_cached_choice(tmp_path / "absent.json") is None
