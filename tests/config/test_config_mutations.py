"""A config with one mutation works or is rejected in one line, never with a traceback."""

from __future__ import annotations

import gc
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import config_mutations
import pytest
import tiny_classifier
import tiny_training
from mmengine.config import Config

from detkit.engine.divergence import DivergenceGuard
from detkit.engine.run import train
from detkit.errors import DetkitError

SEED = 11
# A step of a model up to this size takes less than a second on one core.
STEP_UP_TO = 3_000_000


class StepLimitReached(BaseException):
    """Ends a training that works; no Exception, so that it is never converted to an error."""


@pytest.fixture
def limit_to_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop training after one step, or before the first if the model is large."""
    step = DivergenceGuard.train_step

    def limited(guard: DivergenceGuard, batch: Any) -> None:
        if sum(p.numel() for p in guard._model.parameters()) <= STEP_UP_TO:
            step(guard, batch)
        raise StepLimitReached

    monkeypatch.setattr(DivergenceGuard, "train_step", limited)
    # mmengine lays out the config's text five times a run, which takes longer than the run.
    monkeypatch.setattr(Config, "pretty_text", property(lambda cfg: repr(cfg.to_dict())))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A tiny dataset for detectors (False) and one for classifiers (True)."""
    folder = tmp_path_factory.mktemp("mutated")
    boxes = tiny_training.write_data(folder / "boxes", images=4)
    for split in ("val", "test"):
        shutil.copy(boxes / "train.json", boxes / f"{split}.json")
    return {False: boxes, True: tiny_classifier.write_images(folder / "classes")}


def tracebacks(
    bases: list[Any], count: int, data: dict[bool, Path], folder: Path
) -> Iterator[tuple[str, str]]:
    """Each mutation that ends in neither success nor one line, with its outcome."""
    for mutation in config_mutations.mutations(bases, count, SEED):
        path = config_mutations.write(mutation, folder)
        kind = "class" in mutation.name
        ended = _outcome(path, data[kind], folder / "run")
        shutil.rmtree(folder / "run", ignore_errors=True)
        gc.collect()
        if ended is not None:
            yield mutation.name, ended


def _outcome(config: Path, data: Path, folder: Path) -> str | None:
    """None for a training that works or is rejected; else the end of the traceback."""
    try:
        train(config, data=str(data), work_dir=folder, device="cpu", seed=1)
    except DetkitError as error:
        return None if "\n" not in str(error) else f"more than one line: {error}"
    except StepLimitReached:
        return None
    except Exception as error:
        frames = traceback.format_tb(error.__traceback__)
        return f"{type(error).__name__}: {error}\n{''.join(frames[-2:])}"
    return None


@pytest.mark.usefixtures("limit_to_one_step")
def test_mutated_config_gives_no_traceback(
    data: dict[bool, Path], tmp_path: Path
) -> None:
    bases = [config_mutations.read(tiny_training.write_config(tmp_path, data[False])),
             config_mutations.read(tiny_classifier.write_config(tmp_path, data[True]))]
    assert list(tracebacks(bases, 24, data, tmp_path)) == []


@pytest.mark.slow
@pytest.mark.usefixtures("limit_to_one_step")
def test_500_mutated_configs_give_no_traceback(
    repository: Path, data: dict[bool, Path], tmp_path: Path
) -> None:
    bases = config_mutations.base_configs(repository)
    assert list(tracebacks(bases, 500, data, tmp_path)) == []
