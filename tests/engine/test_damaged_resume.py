"""Resume with damaged checkpoints, invalid last_checkpoint files and invalid run states."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_training
import torch

from detkit.checkpoints.find_checkpoint import (
    find_latest_checkpoint,
    find_latest_valid_checkpoint,
    list_checkpoints,
)
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.engine.hooks.checkpoint_hook import CheckpointHook, remove_partial_files
from detkit.engine.run import TrainResult, train
from detkit.engine.work_dir import checkpoint_to_resume
from detkit.errors import WeightsError

SHORT = {"train_cfg.max_epochs": 2, "param_scheduler.1.end": 2, "test_dataloader": None,
         "test_cfg": None, "test_evaluator": None}


def _checkpoint(path: Path, when: int) -> Path:
    torch.save({"meta": {}, "state_dict": {"w": torch.arange(1000.0)}}, path)
    os.utime(path, (when, when))
    return path


def _flip(path: Path) -> None:
    """Change one byte of a tensor; torch loads such a file without an error."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[content.index(torch.tensor(500.0).numpy().tobytes())] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(path.read_bytes()[:1500]),
    lambda path: path.write_bytes(b""),
    _flip,
], ids=["cut", "empty", "one-byte"])
def test_damaged_latest_checkpoint_falls_back_to_the_previous(
    damage: Callable[[Path], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = _checkpoint(tmp_path / "epoch_1.pth", 1), _checkpoint(tmp_path / "epoch_2.pth", 2)
    damage(bad)
    os.utime(bad, (2, 2))
    with caplog.at_level("WARNING", "detkit"):
        assert find_latest_valid_checkpoint(tmp_path) == good
    assert f"{bad} is damaged" in caplog.text and f"resumes from {good}" in caplog.text
    assert bad.exists()


def test_all_checkpoints_damaged_error_names_the_latest(tmp_path: Path) -> None:
    assert find_latest_valid_checkpoint(tmp_path) is None
    for epoch in (1, 2):
        (tmp_path / f"epoch_{epoch}.pth").write_bytes(b"half")
        os.utime(tmp_path / f"epoch_{epoch}.pth", (epoch, epoch))
    with pytest.raises(WeightsError, match="epoch_2.pth cannot be resumed.*2 checkpoints, all"):
        find_latest_valid_checkpoint(tmp_path)


@pytest.mark.parametrize("note", [b"\xff\xfe\x00", b"", b"\0", b"x" * 100_000, b"/no/such.pth"],
                         ids=["binary", "empty", "zero", "long", "gone"])
def test_invalid_last_checkpoint_file_is_ignored(note: bytes, tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint").write_bytes(note)
    assert find_latest_checkpoint(tmp_path) is None
    good = _checkpoint(tmp_path / "epoch_1.pth", 1)
    assert find_latest_checkpoint(tmp_path) == good


def test_last_checkpoint_outside_the_folder_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "work").mkdir()
    outside = _checkpoint(tmp_path / "mine.pth", 1)
    (tmp_path / "work" / "last_checkpoint").write_text(str(outside))
    with caplog.at_level("WARNING", "detkit"):
        assert find_latest_valid_checkpoint(tmp_path / "work") == outside
    assert f"resumes from {outside}" in caplog.text
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "work" / "last_checkpoint").write_text(str(tmp_path / "pipe.pth"))
    assert find_latest_valid_checkpoint(tmp_path / "work") is None


def test_only_regular_files_are_listed_as_checkpoints(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "epoch_3.pth")
    (tmp_path / "epoch_4.pth").mkdir()
    (tmp_path / "epoch_5.pth").symlink_to(tmp_path / "gone")
    good = _checkpoint(tmp_path / "epoch_1.pth", 1)
    assert list_checkpoints(tmp_path) == [good]


def test_only_partial_files_are_removed(tmp_path: Path) -> None:
    partial_files = [".epoch_2.pth.partial", ".best.pth.0a1b2c3d.partial"]
    other_files = ["epoch_1.pth", "notes.partial", ".notes.partial", "epoch_2.pth.partial"]
    for name in (*partial_files, *other_files):
        (tmp_path / name).write_text("")
    (tmp_path / ".link.pth.partial").symlink_to(tmp_path / "epoch_1.pth")
    assert remove_partial_files(tmp_path) == sorted(partial_files)
    assert {path.name for path in tmp_path.iterdir()} == {*other_files, ".link.pth.partial"}


def test_best_checkpoint_of_another_folder_is_never_removed(tmp_path: Path) -> None:
    hook = CheckpointHook(save_best="a", rule="greater")
    hook.out_dir = str(tmp_path / "work")
    from mmengine.fileio import get_file_backend

    hook.file_backend = get_file_backend(hook.out_dir)
    (tmp_path / "work").mkdir()
    for name in ("thesis.pth", "best_a.pth", "work/best_a.pth", "work/epoch_1.pth"):
        (tmp_path / name).write_text("")
    removable = [name for name in ("thesis.pth", "best_a.pth", "work/best_a.pth",
                                   "work/epoch_1.pth", "work/../best_a.pth")
                 if hook._is_in_out_dir(str(tmp_path / name))]
    assert removable == ["work/best_a.pth"]


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path
) -> tuple[Path, TrainResult, dict[str, Any]]:
    """The config of a training of two epochs, its result, and the checkpoint of epoch 1."""
    folder = tmp_path_factory.mktemp("whole")
    config = tiny_training.write_config(folder, tiny_data)
    result = train(config, work_dir=folder / "work", options=SHORT, device="cpu")
    return config, result, torch.load(folder / "work" / "epoch_1.pth", weights_only=True)


def test_training_resumes_from_the_checkpoint_before_a_damaged_one(
    trained: tuple[Path, TrainResult, dict[str, Any]], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config, result, first = trained
    torch.save(first, tmp_path / "epoch_1.pth")
    complete = (result.work_dir / "epoch_2.pth").read_bytes()
    bad = tmp_path / "epoch_2.pth"
    bad.write_bytes(complete[:len(complete) // 2])
    (tmp_path / ".epoch_2.pth.partial").write_bytes(b"half")
    with pytest.raises(WeightsError, match=f"epoch_2.pth.*--resume {tmp_path}/epoch_1.pth"):
        train(config, work_dir=tmp_path, options=SHORT, device="cpu", resume=bad)
    assert bad.stat().st_size == len(complete) // 2
    with caplog.at_level("WARNING", "detkit"):
        train(config, work_dir=tmp_path, options=SHORT, device="cpu", resume=True)
    assert f"{bad} is damaged" in caplog.text
    # The same as without the damage.
    expected = torch.load(result.work_dir / "epoch_2.pth", weights_only=True)["state_dict"]
    resumed = torch.load(bad, weights_only=True)["state_dict"]
    assert all(torch.equal(resumed[name], value) for name, value in expected.items())
    assert not list(tmp_path.glob(".*"))


def test_missing_scheduler_states_are_logged(
    trained: tuple[Path, TrainResult, dict[str, Any]], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, _, first = trained
    torch.save({**first, "param_schedulers": []}, tmp_path / "without.pth")
    train(config, work_dir=tmp_path / "work", options=SHORT, device="cpu",
          resume=tmp_path / "without.pth")
    assert "the state of 0 param_schedulers, the config has 2" in capsys.readouterr().err


FIELDS: list[tuple[str, Any]] = [
    ("meta", 3), ("meta.epoch", "1"), ("meta.epoch", True), ("meta.epoch", 10**30),
    ("meta.iter", None), ("meta.iter", 1.5), ("meta.seed", -1), ("meta.experiment_name", 3),
    ("meta.dataset_meta", 3), ("meta.dataset_meta.classes", 5),
    ("message_hub", [1]), ("message_hub.log_scalars", 3), ("message_hub.runtime_info", None),
    ("message_hub.runtime_info.best_ckpt", 5), ("message_hub.runtime_info.keep_ckpt_ids", 5),
    ("message_hub.runtime_info.best_score", "x"), ("message_hub.log_scalars.train/loss", {}),
    ("optimizer", [1]), ("optimizer.state", 3), ("optimizer.state.0", 3),
    ("optimizer.param_groups", []), ("optimizer.param_groups.0.params", ["x"]),
    ("optimizer.param_groups.0.lr", "x"),
    ("param_schedulers", 3), ("param_schedulers.0", {"step": 5}),
    ("param_schedulers.0.last_step", "x"),
    ("state_dict", 3), ("state_dict", {}), ("ema_state_dict", 3),
]


@pytest.mark.slow
@pytest.mark.parametrize("field, value", FIELDS, ids=[f"{f}={v!r}"[:50] for f, v in FIELDS])
def test_invalid_run_state_error_names_the_field(
    field: str, value: Any, trained: tuple[Path, TrainResult, dict[str, Any]], tmp_path: Path
) -> None:
    config, _, first = trained
    content = copy.deepcopy(first)
    *outer, last = field.split(".")
    inner: Any = content
    for key in outer:
        inner = inner[int(key)] if isinstance(inner, list) else inner[
            int(key) if key.isdigit() else key]
    inner[int(last) if last.isdigit() else last] = value
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(WeightsError) as caught:
        train(config, work_dir=tmp_path / "work", options=SHORT, device="cpu",
              resume=tmp_path / "bad.pth")
    message = str(caught.value)
    is_empty = field == "state_dict" and value == {}
    expected = "weights of the model are missing" if is_empty else field
    assert "bad.pth cannot be resumed" in message and expected in message and "\n" not in message


def test_self_referencing_symlink_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "epoch_1.pth").symlink_to(tmp_path / "epoch_1.pth")
    assert checkpoint_to_resume(tmp_path / "epoch_1.pth", tmp_path) == str(tmp_path / "epoch_1.pth")
    with pytest.raises(WeightsError, match="no such file"):
        load_checkpoint(tmp_path / "epoch_1.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_1.pth"))
    assert find_latest_valid_checkpoint(tmp_path) is None
