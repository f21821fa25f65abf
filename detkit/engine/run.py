"""Training and testing: from a config and data to checkpoints and scores."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.registry import DefaultScope

from detkit.checkpoints.last_checkpoint import read_any_checkpoint, read_for_mmengine
from detkit.config import overrides
from detkit.config.error_source import blame_config
from detkit.config.load_config import load_config
from detkit.config.task import is_classifier
from detkit.engine.backbone_from import begin_backbone_from
from detkit.engine.build_model import carried_classes, load_exactly
from detkit.engine.devices import set_threads, start_processes, use_device
from detkit.engine.hooks.progress_hook import progress_of
from detkit.engine.main_process import run_on_main_process
from detkit.engine.publish_model import publish
from detkit.engine.results import TestResult, TrainResult
from detkit.engine.run_failures import explain_failures, set_loading_timeout
from detkit.engine.runner import DetRunner
from detkit.engine.setup_data import refuse_other_classes, take_data
from detkit.engine.work_dir import checkpoint_to_resume, default_work_dir, own_folder
from detkit.registry import import_mmdet
from detkit.text import printable
from detkit.trust import force_data_only

logger = logging.getLogger(__name__)
_HANDLER = logging.StreamHandler()
CONFUSION_MATRIX = "test_confusion_matrix.png"


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
    backbone_from: str | Path | None = None,
) -> TrainResult:
    """Train as ``config`` says, then test the best checkpoint on the test split, if there is one.

    Logs go to stderr. A folder with another run's checkpoints is refused unless it is resumed.

    Args:
        config: a config file.
        data: a folder of images and annotations, for a classifier one of pictures by class or a
            csv, or 'sample'; None takes what the config names.
        work_dir: where everything is written; None is the config's, or ``work_dirs/NAME``.
        options: values over the config's, by dotted key.
        resume: True continues the newest checkpoint in ``work_dir`` and starts anew when there is
            none; a path continues that checkpoint.
        amp: train in mixed precision.
        auto_scale_lr: scale the learning rate linearly from the config's base batch size.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        seed: of every random choice; None is the config's ``randomness``, or a random one.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        backbone_from: a file that the backbone's first weights are taken from: a checkpoint of a
            classifier or detector with that backbone, or one of those that publish it. A resumed
            run has all of its weights already.

    Raises:
        DetkitError: the config, the data or a checkpoint is not right; nothing was trained then.
    """
    with redirect_stdout(sys.stderr), ExitStack() as held:
        cfg = _begin(config, options, launcher, device, work_dir)
        folder = Path(cfg.work_dir)
        held.enter_context(own_folder(folder))
        held.enter_context(explain_failures(folder))
        if not resume and cfg.get("resume"):
            resume = str(cfg.load_from) if cfg.get("load_from") else True
        resumed = run_on_main_process(lambda: checkpoint_to_resume(resume, folder))
        with blame_config(cfg, "reading the config"):
            overrides.use_our_parts(cfg)
            set_loading_timeout(cfg)
            if amp:
                overrides.turn_on_amp(cfg)
            if auto_scale_lr:
                overrides.turn_on_lr_scaling(cfg)
        if seed is not None:
            cfg.randomness = {**cfg.get("randomness", {}), "seed": seed}
        cfg.resume = resumed is not None
        if resumed is not None:
            cfg.load_from = resumed
        if backbone_from is not None:
            begin_backbone_from(cfg, backbone_from)
        with blame_config(cfg, "reading the data"):
            classes = take_data(cfg, data, folder, training=True)
        if resumed is not None:
            refuse_other_classes(classes, carried_classes(resumed), resumed)
        with blame_config(cfg, "building the model"):
            runner: Any = DetRunner.from_cfg(cfg)
        # Within the other: an error of a data loading process would blame the config.
        with progress_of(runner), blame_config(cfg, "training", runner), explain_failures(folder):
            runner.train()
        checkpoint = _chosen_checkpoint(runner)
        if checkpoint is not None and is_main_process():
            checkpoint = publish(checkpoint, folder, _model(runner))
        tested = None
        if checkpoint is not None and cfg.get("test_dataloader") is not None:
            tested = _test(cfg, checkpoint)
        return TrainResult(folder, checkpoint, tested, _confusion_matrix(tested, folder))


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
        with blame_config(cfg, "reading the config"):
            overrides.use_our_parts(cfg)
            set_loading_timeout(cfg)
        known = carried_classes(checkpoint)
        with blame_config(cfg, "reading the data"):
            classes = take_data(cfg, data, Path(cfg.work_dir), False, known)
        if is_classifier(cfg):
            refuse_other_classes(classes, known, checkpoint)
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
    force_data_only()
    read_for_mmengine()
    import_mmdet()
    cfg = load_config(config, options)
    kind = use_device(device)
    set_threads(kind, alone=launcher == "none")
    start_processes(launcher, cfg, kind)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or cfg.get("work_dir") or default_work_dir(Path(config)))
    return cfg


class _PrintableFormatter(logging.Formatter):
    """Names of files and classes that others chose cannot steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def _log_to_stderr() -> None:
    """Show the log of detkit's modules on stderr, unless the program logs by itself."""
    ours = logging.getLogger("detkit")
    if not ours.handlers and not logging.getLogger().handlers:
        _HANDLER.setFormatter(_PrintableFormatter("%(message)s"))
        ours.addHandler(_HANDLER)
        ours.setLevel(logging.INFO)
    # Where the program has put another in its place. Not setStream, which flushes the one before.
    _HANDLER.stream = sys.stderr


def _model(runner: Any) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _chosen_checkpoint(runner: Any) -> Path | None:
    for key in ("best_ckpt", "last_ckpt"):
        path = runner.message_hub.get_info(key, None)
        if path and Path(path).is_file():
            return Path(path)
    return None


def _confusion_matrix(tested: TestResult | None, folder: Path) -> Path | None:
    """The picture of a classifier's test, a run's own file; None for other models."""
    from detkit.evaluation.classification.classification_scores import ClassificationScores
    from detkit.evaluation.classification.confusion_matrix_plot import draw_confusion

    if tested is None or not isinstance(tested.scores, ClassificationScores):
        return None
    picture = folder / CONFUSION_MATRIX
    draw_confusion(tested.scores, picture, force=True)
    return picture


def _test(cfg: Config, checkpoint: Path) -> TestResult:
    cfg = overrides.only_test(cfg)
    cfg.experiment_name = "test"
    # Around the whole: what a test builds late, its data for one, is looked up in this scope too,
    # and in a process that did not train there is no other.
    with (DefaultScope.overwrite_default_scope(cfg.default_scope), blame_config(cfg, "testing"),
          explain_failures()):
        runner: Any = DetRunner.from_cfg(cfg)
        # Exactly, where mmengine would warn of what does not fit and measure what is left.
        content = read_any_checkpoint(checkpoint)
        load_exactly(_model(runner), content.get("state_dict", content), str(checkpoint))
        metrics = {name: float(value) for name, value in runner.test().items()}
    scores = next((m.scores for m in runner.test_evaluator.metrics if hasattr(m, "scores")), None)
    return TestResult(metrics, scores)
