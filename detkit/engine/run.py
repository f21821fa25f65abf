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

from detkit.checkpoints.last_checkpoint import load_checkpoint, register_checkpoint_loaders
from detkit.config import overrides
from detkit.config.error_source import config_error_context
from detkit.config.load_config import load_config
from detkit.config.task import is_classifier
from detkit.engine.backbone_from import init_backbone_from
from detkit.engine.build_model import checkpoint_classes, load_state_dict_strict
from detkit.engine.devices import init_distributed, set_cpu_threads, set_device
from detkit.engine.hooks.progress_hook import progress_bar
from detkit.engine.main_process import run_on_main_process
from detkit.engine.publish_model import publish_model
from detkit.engine.results import TestResult, TrainResult
from detkit.engine.run_failures import explain_failures, set_loading_timeout
from detkit.engine.runner import DetRunner
from detkit.engine.setup_data import check_same_classes, setup_data
from detkit.engine.work_dir import checkpoint_to_resume, default_work_dir, lock_work_dir
from detkit.registry import import_mmdet
from detkit.text import printable
from detkit.trust import force_weights_only

logger = logging.getLogger(__name__)
_STDERR_HANDLER = logging.StreamHandler()
CONFUSION_MATRIX_FILE = "test_confusion_matrix.png"


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
    with redirect_stdout(sys.stderr), ExitStack() as stack:
        cfg = _load_run_config(config, options, launcher, device, work_dir)
        folder = Path(cfg.work_dir)
        stack.enter_context(lock_work_dir(folder))
        stack.enter_context(explain_failures(folder))
        if not resume and cfg.get("resume"):
            resume = str(cfg.load_from) if cfg.get("load_from") else True
        resume_path = run_on_main_process(lambda: checkpoint_to_resume(resume, folder))
        with config_error_context(cfg, "reading the config"):
            overrides.substitute_components(cfg)
            set_loading_timeout(cfg)
            if amp:
                overrides.enable_amp(cfg)
            if auto_scale_lr:
                overrides.enable_lr_scaling(cfg)
        if seed is not None:
            cfg.randomness = {**cfg.get("randomness", {}), "seed": seed}
        cfg.resume = resume_path is not None
        if resume_path is not None:
            cfg.load_from = resume_path
        if backbone_from is not None:
            init_backbone_from(cfg, backbone_from)
        with config_error_context(cfg, "reading the data"):
            classes = setup_data(cfg, data, folder, training=True)
        if resume_path is not None:
            check_same_classes(classes, checkpoint_classes(resume_path), resume_path)
        with config_error_context(cfg, "building the model"):
            runner: Any = DetRunner.from_cfg(cfg)
        # Within the other: an error of a data loading process would blame the config.
        with progress_bar(runner), config_error_context(cfg, "training",
                                                        runner), explain_failures(folder):
            runner.train()
        checkpoint = _best_or_last_checkpoint(runner)
        if checkpoint is not None and is_main_process():
            checkpoint = publish_model(checkpoint, folder, _unwrap_model(runner))
        test_result = None
        if checkpoint is not None and cfg.get("test_dataloader") is not None:
            test_result = _test(cfg, checkpoint)
        return TrainResult(folder, checkpoint, test_result, _confusion_matrix(test_result, folder))


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
        cfg = _load_run_config(config, options, launcher, device, work_dir)
        with config_error_context(cfg, "reading the config"):
            overrides.substitute_components(cfg)
            set_loading_timeout(cfg)
        model_classes = checkpoint_classes(checkpoint)
        with config_error_context(cfg, "reading the data"):
            classes = setup_data(cfg, data, Path(cfg.work_dir), False, model_classes)
        if is_classifier(cfg):
            check_same_classes(classes, model_classes, checkpoint)
        return _test(cfg, Path(checkpoint))


test.__test__ = False  # type: ignore[attr-defined]


def _load_run_config(
    config: str | Path,
    options: Mapping[str, Any] | None,
    launcher: str,
    device: str,
    work_dir: str | Path | None,
) -> Config:
    _log_to_stderr()
    force_weights_only()
    register_checkpoint_loaders()
    import_mmdet()
    cfg = load_config(config, options)
    device_type = set_device(device)
    set_cpu_threads(device_type, single_process=launcher == "none")
    init_distributed(launcher, cfg, device_type)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or cfg.get("work_dir") or default_work_dir(Path(config)))
    return cfg


class _PrintableFormatter(logging.Formatter):
    """Names of files and classes that others chose cannot steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def _log_to_stderr() -> None:
    """Show the log of detkit's modules on stderr, unless the program logs by itself."""
    detkit_logger = logging.getLogger("detkit")
    if not detkit_logger.handlers and not logging.getLogger().handlers:
        _STDERR_HANDLER.setFormatter(_PrintableFormatter("%(message)s"))
        detkit_logger.addHandler(_STDERR_HANDLER)
        detkit_logger.setLevel(logging.INFO)
    # Where the program has put another in its place. Not setStream, which flushes the one before.
    _STDERR_HANDLER.stream = sys.stderr


def _unwrap_model(runner: Any) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _best_or_last_checkpoint(runner: Any) -> Path | None:
    for key in ("best_ckpt", "last_ckpt"):
        path = runner.message_hub.get_info(key, None)
        if path and Path(path).is_file():
            return Path(path)
    return None


def _confusion_matrix(test_result: TestResult | None, folder: Path) -> Path | None:
    """The picture of a classifier's test, a run's own file; None for other models."""
    from detkit.evaluation.classification.classification_scores import ClassificationScores
    from detkit.evaluation.classification.confusion_matrix_plot import plot_confusion_matrix

    if test_result is None or not isinstance(test_result.scores, ClassificationScores):
        return None
    plot_path = folder / CONFUSION_MATRIX_FILE
    plot_confusion_matrix(test_result.scores, plot_path, force=True)
    return plot_path


def _test(cfg: Config, checkpoint: Path) -> TestResult:
    cfg = overrides.test_only_config(cfg)
    cfg.experiment_name = "test"
    # Around the whole: what a test builds late, its data for one, is looked up in this scope too,
    # and in a process that did not train there is no other.
    with (DefaultScope.overwrite_default_scope(cfg.default_scope),
          config_error_context(cfg, "testing"), explain_failures()):
        runner: Any = DetRunner.from_cfg(cfg)
        # Exactly, where mmengine would warn of what does not fit and measure what is left.
        content = load_checkpoint(checkpoint)
        load_state_dict_strict(_unwrap_model(runner), content.get("state_dict", content),
                               str(checkpoint))
        metrics = {name: float(value) for name, value in runner.test().items()}
    scores = next((m.scores for m in runner.test_evaluator.metrics if hasattr(m, "scores")), None)
    return TestResult(metrics, scores)
