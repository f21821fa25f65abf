"""Training and testing: from a config and data to checkpoints and scores."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.registry import DefaultScope

from detkit.engine import prepare
from detkit.engine.checkpoint import carried_classes, load_exactly
from detkit.engine.checkpoint_file import find_last_checkpoint, read_any_checkpoint
from detkit.engine.config import load_config
from detkit.engine.config_data import check_own_data
from detkit.engine.data_source import apply_data
from detkit.engine.derive import data_classes, derive
from detkit.engine.devices import set_threads, start_processes, use_device
from detkit.engine.progress import progress_of
from detkit.engine.publish import publish
from detkit.engine.runner import DetRunner
from detkit.engine.work_folder import default_work_dir, refuse_another_run
from detkit.registry import import_mmdet

if TYPE_CHECKING:
    from detkit.evaluation.box_scores import BoxScores

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class TestResult:
    """What a test found.

    Args:
        metrics: every number of the evaluator by name, as ``coco/bbox_mAP``.
        scores: the twelve COCO numbers and each class's AP; None when the config measures
            something else, and on all processes but the first.
    """

    __test__ = False

    metrics: dict[str, float] = field(default_factory=dict)
    scores: BoxScores | None = None


@dataclass(frozen=True)
class TrainResult:
    """What a training left.

    Args:
        work_dir: the folder it wrote to.
        checkpoint: ``best.pth`` with the weights of the best checkpoint, or of the last when none
            was chosen by a score; None when none was written.
        test: scores of ``checkpoint`` on the test split; None when the config has none.
    """

    work_dir: Path
    checkpoint: Path | None
    test: TestResult | None


def train(
    config: str | Path,
    *,
    data: str | None = None,
    work_dir: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    resume: bool | str | Path = False,
    amp: bool = False,
    auto_scale_lr: bool = False,
    launcher: str = "none",
    seed: int | None = None,
    device: str = "auto",
) -> TrainResult:
    """Train as ``config`` says, then test the best checkpoint on the test split, if there is one.

    Logs go to stderr. A folder with another run's checkpoints is refused unless it is resumed.

    Args:
        config: a config file.
        data: a folder of images and annotations, or 'sample'; None takes what the config names.
        work_dir: where everything is written; None is the config's, or ``work_dirs/NAME``.
        options: values over the config's, by dotted key.
        resume: True continues the newest checkpoint in ``work_dir`` and starts anew when there is
            none; a path continues that checkpoint.
        amp: train in mixed precision.
        auto_scale_lr: scale the learning rate linearly from the config's base batch size.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        seed: of every random choice; None is the config's ``randomness``, or a random one.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        DetkitError: the config, the data or a checkpoint is not right; nothing was trained then.
    """
    with redirect_stdout(sys.stderr):
        cfg = _begin(config, options, launcher, device, work_dir)
        folder = Path(cfg.work_dir)
        if not resume and cfg.get("resume"):
            resume = str(cfg.load_from) if cfg.get("load_from") else True
        if resume is True:
            resume = find_last_checkpoint(folder) or False
            if not resume:
                logger.info("nothing to resume in %s: the training begins anew", folder)
        elif not resume or Path(resume).resolve().parent != folder.resolve():
            refuse_another_run(folder)
        prepare.use_our_parts(cfg)
        if amp:
            prepare.turn_on_amp(cfg)
        if auto_scale_lr:
            prepare.turn_on_lr_scaling(cfg)
        if seed is not None:
            cfg.randomness = {**cfg.get("randomness", {}), "seed": seed}
        cfg.resume = bool(resume)
        if resume:
            cfg.load_from = str(resume)
        _take_data(cfg, data, folder, training=True)
        runner: Any = DetRunner.from_cfg(cfg)
        with progress_of(runner):
            runner.train()
        checkpoint = _chosen_checkpoint(runner)
        if checkpoint is not None and is_main_process():
            checkpoint = publish(checkpoint, folder)
        tested = None
        if checkpoint is not None and cfg.get("test_dataloader") is not None:
            tested = _test(cfg, checkpoint)
        return TrainResult(folder, checkpoint, tested)


def test(
    config: str | Path,
    checkpoint: str | Path,
    *,
    data: str | None = None,
    work_dir: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    launcher: str = "none",
    device: str = "auto",
) -> TestResult:
    """Measure ``checkpoint`` on the test split of ``config``, or of ``data``.

    Raises:
        DetkitError: the config, the data or the checkpoint is not right.
    """
    with redirect_stdout(sys.stderr):
        cfg = _begin(config, options, launcher, device, work_dir)
        prepare.use_our_parts(cfg)
        _take_data(cfg, data, Path(cfg.work_dir), False, carried_classes(checkpoint))
        return _test(cfg, Path(checkpoint))


test.__test__ = False  # type: ignore[attr-defined]


def _begin(
    config: str | Path,
    options: Mapping[str, Any] | None,
    launcher: str,
    device: str,
    work_dir: str | Path | None,
) -> Config:
    _log_to_stderr()
    # A checkpoint is data: this holds for every torch.load in the process, mmengine's too, whose
    # own would fall back to running what is in the file. The user's explicit word stands.
    if "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ:
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    import_mmdet()
    cfg = load_config(config, options)
    kind = use_device(device)
    set_threads(kind)
    start_processes(launcher, cfg, kind)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or cfg.get("work_dir") or default_work_dir(Path(config)))
    return cfg


def _log_to_stderr() -> None:
    """Show the log of detkit's modules on stderr, unless the program logs by itself."""
    ours = logging.getLogger("detkit")
    if not ours.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)


def _take_data(
    cfg: Config,
    data: str | None,
    folder: Path,
    training: bool,
    known: Sequence[str] | None = None,
) -> None:
    """Put the data into ``cfg``, checked, and derive what follows from it.

    ``known`` are the classes of the checkpoint that is tested.
    """
    if data is None:
        splits = ("train", "val", "test") if training else ("test",)
        _first_process_does(lambda: check_own_data(cfg, splits))
        classes = data_classes(cfg)
    else:
        from detkit.data.source import open_data

        found = _first_process_does(
            lambda: open_data(data, folder, classes=known, need_train=training)
        )
        apply_data(cfg, found)
        classes = list(found.classes)
    derive(cfg, classes)


def _first_process_does(work: Callable[[], T]) -> T:
    """Let one process do ``work`` and give all of them what came of it."""
    # An error travels too: the other processes would wait for ever for data that never comes.
    box: list[Any] = [None]
    if is_main_process():
        try:
            box[0] = work()
        except Exception as error:
            box[0] = error
    broadcast_object_list(box)
    if isinstance(box[0], Exception):
        raise box[0]
    done: T = box[0]
    return done


def _chosen_checkpoint(runner: Any) -> Path | None:
    for key in ("best_ckpt", "last_ckpt"):
        path = runner.message_hub.get_info(key, None)
        if path and Path(path).is_file():
            return Path(path)
    return None


def _test(cfg: Config, checkpoint: Path) -> TestResult:
    cfg = prepare.only_test(cfg)
    cfg.experiment_name = "test"
    # Around the whole: what a test builds late, its data for one, is looked up in this scope too,
    # and in a process that did not train there is no other.
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        runner: Any = DetRunner.from_cfg(cfg)
        # Exactly, where mmengine would warn of what does not fit and measure what is left.
        content = read_any_checkpoint(checkpoint)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        load_exactly(model, content.get("state_dict", content), str(checkpoint))
        metrics = {name: float(value) for name, value in runner.test().items()}
    scores = next((m.scores for m in runner.test_evaluator.metrics if hasattr(m, "scores")), None)
    return TestResult(metrics, scores)
