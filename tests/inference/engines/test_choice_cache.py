"""The choice of ``engine='auto'`` is cached for the same model, input size and machine only."""

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

INPUT_HW = (64, 96)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A temporary cache folder, and a single fast engine as candidate."""
    monkeypatch.setitem(CANDIDATES, "cpu", ("torch",))
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def create_engine(checkpoint, image_batch):
    engines = CheckpointEngines(checkpoint, "auto", "f32", 1, "cpu")
    return engines.engine(INPUT_HW, image_batch[0][0])


def test_engines_are_timed_once(thumbnail, image_batch, cache, monkeypatch):
    first = create_engine(thumbnail, image_batch)
    cache_file, = (cache / "engines").iterdir()
    assert read_cached_choice(cache_file) == CachedEngineChoice(first.name, first.precision)

    def fail_if_called(*args, **kwargs):
        raise AssertionError("engines are timed again")

    monkeypatch.setattr(checkpoint_engines, "choose_engine", fail_if_called)
    second = create_engine(thumbnail, image_batch)
    assert (second.name, second.precision) == (first.name, first.precision)
    cache_file.write_text("{")
    with pytest.raises(AssertionError, match="timed again"):
        create_engine(thumbnail, image_batch)


def test_cached_engine_that_fails_is_replaced(thumbnail, image_batch, caplog):
    path = choice_cache_path(thumbnail, input_hw=INPUT_HW, precision="f32", num_streams=1,
                             device="cpu", max_proposals=None)
    write_cached_choice(path, CachedEngineChoice("tensorrt", "f32"), {})
    assert create_engine(thumbnail, image_batch).name != "tensorrt"
    assert "tensorrt f32, the cached choice, does not run" in caplog.text
    assert read_cached_choice(path) != CachedEngineChoice("tensorrt", "f32")


def test_cache_path_depends_on_model_size_and_machine(thumbnail, tmp_path, monkeypatch):
    first = choice_cache_path(thumbnail, input_hw=INPUT_HW)
    copy = shutil.copy(thumbnail, tmp_path / "renamed.pth")
    assert choice_cache_path(copy, input_hw=INPUT_HW) == first
    assert choice_cache_path(thumbnail, input_hw=(96, 64)) != first
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert choice_cache_path(thumbnail, input_hw=INPUT_HW) != first
    monkeypatch.undo()
    with open(copy, "ab") as file:
        file.write(b"more")
    assert choice_cache_path(copy, input_hw=INPUT_HW).name != first.name


def test_choice_on_shared_cores_is_not_cached(
    thumbnail, image_batch, cache, monkeypatch
):
    monkeypatch.setattr(engine_choice, "cores_are_shared", lambda: True)
    assert create_engine(thumbnail, image_batch).name == "torch"
    assert not (cache / "engines").exists()


def test_user_without_home_folder_has_no_cache(thumbnail, image_batch, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DETKIT_CACHE")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert choice_cache_path(thumbnail, input_hw=INPUT_HW) is None
    assert create_engine(thumbnail, image_batch).precision == "f32"


def test_unwritable_cache_is_ignored(thumbnail, image_batch, cache):
    cache.write_text("a file where the folder should be")
    assert create_engine(thumbnail, image_batch).precision == "f32"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"engine": 1, "precision": "f32"}'])
def test_invalid_cache_file_gives_none(content, tmp_path):
    (tmp_path / "choice.json").write_text(content)
    assert read_cached_choice(tmp_path / "choice.json") is None
    assert read_cached_choice(tmp_path / "absent.json") is None
