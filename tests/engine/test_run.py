"""Training and testing on the tiny data: outputs, rejected inputs, and streams."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from detkit.checkpoints.find_checkpoint import find_latest_checkpoint
from detkit.engine.load_model import load_model
from detkit.engine.run import TrainResult, test, train
from detkit.engine.setup_process import _log_to_stderr
from detkit.engine.work_dir import ensure_no_other_run
from detkit.errors import ConfigError, DetkitError, WeightsError

ONE_EPOCH = {"train_cfg.max_epochs": 1, "param_scheduler.1.end": 1}


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path
) -> tuple[Path, TrainResult]:
    """A config, and the result of its training of one epoch with --data."""
    import tiny_training

    folder = tmp_path_factory.mktemp("trained")
    config = tiny_training.write_config(folder, Path("/nowhere"))
    _as_coco_folder(tiny_data, folder / "coco")
    result = train(config, data=str(folder / "coco"), work_dir=folder / "work", options=ONE_EPOCH,
                   amp=True, auto_scale_lr=True, device="cpu", seed=1)
    return config, result


def test_log_handler_of_the_program_keeps_its_stream() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("detkit").addHandler(handler)
    try:
        _log_to_stderr()
        assert handler.stream is stream
    finally:
        logging.getLogger("detkit").removeHandler(handler)


def _as_coco_folder(tiny_data: Path, folder: Path) -> None:
    (folder / "annotations").mkdir(parents=True)
    text = (tiny_data / "train.json").read_text()
    for split in ("train", "val", "test"):
        (folder / split).symlink_to(tiny_data / "images")
        (folder / "annotations" / f"{split}.json").write_text(text)


def test_training_writes_checkpoints_logs_and_scores(
    trained: tuple[Path, TrainResult]
) -> None:
    _, result = trained
    names = {path.name for path in result.work_dir.iterdir()}
    assert {"epoch_1.pth", "last_checkpoint", "tiny.py", "data"} <= names
    assert not [name for name in names if "partial" in name]
    rows = [json.loads(line) for path in result.work_dir.glob("*/vis_data/scalars.json")
            for line in path.read_text().splitlines()]
    assert any("loss" in row for row in rows) and any("coco/bbox_mAP" in row for row in rows)
    assert list(result.work_dir.rglob("events.out.tfevents*"))
    assert result.test is not None and result.test.scores is not None
    assert result.test.scores.images == 6
    assert {item.name for item in result.test.scores.per_class} == {"red", "green"}


def test_checkpoint_is_plain_data_and_builds_its_detector(
    trained: tuple[Path, TrainResult]
) -> None:
    _, result = trained
    content = torch.load(result.work_dir / "epoch_1.pth", weights_only=True)
    assert content["meta"]["dataset_meta"]["classes"] == ("red", "green")
    assert "loss" in "".join(content["message_hub"]["log_scalars"])
    loaded = load_model(result.work_dir / "epoch_1.pth", "cpu")
    assert loaded.classes == ("red", "green")


def test_test_command_gives_the_same_metrics_in_a_new_process(
    trained: tuple[Path, TrainResult], tmp_path: Path, repository: Path
) -> None:
    config, result = trained
    assert result.test is not None and result.test.scores is not None
    command = ["tools/test.py", str(config), str(result.checkpoint), "--device", "cpu",
               "--data", str(config.parent / "coco"), "--work-dir", str(tmp_path / "work"),
               "--out", str(tmp_path / "scores.json")]
    done = subprocess.run([sys.executable, *command], cwd=repository, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "scores.json").read_text()) == result.test.scores.as_dict()


def test_repeated_test_gives_the_same_metrics(
    trained: tuple[Path, TrainResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, result = trained
    assert result.checkpoint is not None and result.test is not None
    files = []
    load = torch.load
    monkeypatch.setattr("torch.load", lambda file, **options: files.append(file) or load(
        file, weights_only=True, map_location=options["map_location"]))
    again = test(config, result.checkpoint, data=str(config.parent / "coco"),
                 work_dir=tmp_path, device="cpu")
    assert files == [result.checkpoint]
    assert again.metrics.keys() == result.test.metrics.keys()
    for name, value in again.metrics.items():
        if name.startswith("coco/"):
            assert value == pytest.approx(result.test.metrics[name], nan_ok=True)


def test_work_dir_of_another_run_is_rejected(trained: tuple[Path, TrainResult]) -> None:
    config, result = trained
    before = {p: p.stat().st_mtime_ns for p in result.work_dir.rglob("*")}
    with pytest.raises(ConfigError, match="checkpoints of another run.*--resume.*--work-dir"):
        train(config, data=str(config.parent / "coco"), work_dir=result.work_dir, device="cpu")
    assert {p: p.stat().st_mtime_ns for p in result.work_dir.rglob("*")} == before


def test_work_dir_with_best_weights_only_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "best.pth").write_bytes(b"")
    with pytest.raises(ConfigError, match="best.pth"):
        ensure_no_other_run(tmp_path)


def test_resume_from_weights_only_is_rejected(
    trained: tuple[Path, TrainResult], tmp_path: Path
) -> None:
    config, result = trained
    content = torch.load(result.work_dir / "epoch_1.pth", weights_only=True)
    torch.save({"state_dict": content["state_dict"]}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="cannot be resumed.*load_from"):
        train(config, data=str(config.parent / "coco"), work_dir=tmp_path / "work",
              resume=tmp_path / "weights.pth", options=ONE_EPOCH, device="cpu")


def test_unexpected_keys_are_rejected(tiny_config: Path, tmp_path: Path) -> None:
    torch.save({"other": torch.zeros(1)}, tmp_path / "strange.pth")
    with pytest.raises(WeightsError, match="does not fit the model"):
        test(tiny_config, tmp_path / "strange.pth", work_dir=tmp_path / "work", device="cpu")


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cuda:x", "cpu:1"])
def test_unknown_device_is_rejected(tiny_config: Path, device: str) -> None:
    with pytest.raises(DetkitError, match="--device"):
        train(tiny_config, device=device)


def test_auto_scale_lr_scales_the_learning_rate(
    trained: tuple[Path, TrainResult], tiny_config: Path, tmp_path: Path
) -> None:
    # Base batch size 2, a batch of 4: twice the config's 0.001.
    options = {**ONE_EPOCH, "train_dataloader.batch_size": 4, "param_scheduler": [],
               "val_cfg": None, "val_dataloader": None, "val_evaluator": None,
               "test_cfg": None, "test_dataloader": None, "test_evaluator": None,
               "custom_hooks": [], "default_hooks.checkpoint.save_best": None}
    result = train(tiny_config, work_dir=tmp_path / "work", options=options, auto_scale_lr=True,
                   device="cpu")
    content = torch.load(result.work_dir / "epoch_1.pth", weights_only=True)
    assert content["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.002)


def test_latest_checkpoint_is_found_despite_the_last_checkpoint_file(tmp_path: Path) -> None:
    assert find_latest_checkpoint(tmp_path) is None
    (tmp_path / "last_checkpoint").write_text("")
    assert find_latest_checkpoint(tmp_path) is None
    for name in ("epoch_9.pth", "epoch_10.pth"):
        (tmp_path / name).touch()
    (tmp_path / ".epoch_11.pth.partial").touch()
    (tmp_path / "last_checkpoint").write_text("/gone/epoch_9.pth")
    latest = find_latest_checkpoint(tmp_path)
    assert latest is not None and latest.name == "epoch_10.pth"


def test_logs_go_to_stderr(
    trained: tuple[Path, TrainResult], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config, result = trained
    assert result.checkpoint is not None
    logging.getLogger("detkit").handlers.clear()
    test(config, result.checkpoint, data=str(config.parent / "coco"), work_dir=tmp_path,
         device="cpu")
    streams = capsys.readouterr()
    assert streams.out == "" and "Epoch(test)" in streams.err
