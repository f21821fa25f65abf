"""Every run updates its number of threads in training, validation and test."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkit.engine import runner
from detkit.engine.run import train


def test_threads_are_updated_after_each_iteration(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(runner, "update_num_threads", lambda: calls.append(1))
    train(tiny_config, work_dir=tmp_path / "work", device="cpu",
          options={"train_cfg.max_epochs": 1})
    trained = len(calls)
    # 6 images in batches of 2 are 3 iterations; the validation and the test have more
    assert trained > 3
