"""Training and testing: from a config and data to checkpoints and scores.

A run is prepared in steps, in this order: set up the process, load the config, override it, set up
the data, infer the fields of the model, build the runner. Each step takes a config and returns a
new one for the next step.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from time import monotonic
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.registry import DefaultScope

from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.checkpoints.publish_model import publish_model
from detkit.config import overrides
from detkit.config.error_source import config_error_context
from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.config.schedule.fit_epochs import check_epochs
from detkit.config.task import is_classifier
from detkit.config.train_overrides import TrainOverrides, override_training
from detkit.engine.backbone_from import init_backbone_from
from detkit.engine.distributed import init_process_group, run_on_main_process
from detkit.engine.from_scratch import drop_initial_weights
from detkit.engine.hooks.progress_hook import progress_bar
from detkit.engine.load_model import checkpoint_classes, load_state_dict_strict
from detkit.engine.results import TestResult, TrainResult
from detkit.engine.run_failures import explain_failures, set_loading_timeout
from detkit.engine.run_summary import summarize_run
from detkit.engine.runner import DetRunner
from detkit.engine.schedule.auto_batch import check_auto_batch, choose_batch_size
from detkit.engine.schedule.epochs import fit_to_epochs, warn_of_long_warmup
from detkit.engine.schedule.minutes import TimeBudget, check_minutes, fit_minutes
from detkit.engine.schedule.replan_hook import ReplanHook
from detkit.engine.schedule.resume_plan import follow_resumed_plan
from detkit.engine.setup_data import check_same_classes, setup_data
from detkit.engine.setup_process import setup_process
from detkit.engine.work_dir import checkpoint_to_resume, default_work_dir, lock_work_dir
from detkit.errors import ConfigError

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
    from_scratch: bool = False,
    epochs: int | None = None,
    minutes: float | None = None,
    auto_batch: bool = False,
    values: TrainOverrides | None = None,
    start_time: float | None = None,
) -> TrainResult:
    """Train the model of a config, then test the best checkpoint if there is a test split.

    The log goes to stderr.

    Args:
        config: a config file.
        data: a folder of images and annotations; for a classifier a folder of class folders or a
            csv file; or 'sample'. None uses the datasets of the config.
        work_dir: the output folder; None uses the config's, or ``work_dirs/NAME``. A folder with
            the checkpoints of another run is rejected unless that run is resumed.
        options: values that override the config's, by dotted key.
        resume: True resumes from the newest checkpoint in ``work_dir``, or starts a new run if
            there is none; a path resumes from that checkpoint.
        amp: train in mixed precision.
        auto_scale_lr: scale the learning rate linearly from the config's base batch size.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        seed: the random seed; None uses the config's ``randomness``, or a random seed.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        backbone_from: a file with the initial weights of the backbone: a checkpoint of a
            classifier or detector with that backbone, or published weights of it. It has no
            effect on a resumed run.
        from_scratch: begin with random weights, whatever the config loads.
        epochs: fit the schedule of the config to so many epochs.
        minutes: fit the schedule of the config into this time, test included, on this machine. A
            resumed run keeps the schedule that its checkpoint was planned with.
        auto_batch: find the batch size that is the fastest for an image and fits into the memory,
            and scale the learning rate to it. A resumed run keeps its checkpoint's.
        values: replace single values of the config; None replaces none.
        start_time: ``time.monotonic()`` at which the command began; None takes now.

    Raises:
        DetkitError: the config, the data or a checkpoint is invalid, or the training failed; see
            ``explain_failures``.
    """
    if from_scratch and backbone_from is not None:
        raise ConfigError("--from-scratch and --backbone-from contradict each other",
                          expected="one of them")
    if epochs is not None and minutes is not None:
        raise ConfigError("--epochs and --minutes both set the length of the run",
                          expected="one of them")
    start = monotonic() if start_time is None else start_time
    budget = None if minutes is None else TimeBudget(minutes, start)
    with redirect_stdout(sys.stderr), ExitStack() as stack:
        device_type = setup_process(device, launcher)
        cfg = _load_run_config(config, options, work_dir, launcher)
        cfg = override_training(cfg, values or TrainOverrides(), options)
        if epochs is not None:
            check_epochs(cfg, options)
        if budget is not None:
            check_minutes(cfg, options)
        if auto_batch:
            check_auto_batch(cfg, options, launcher)
        init_process_group(launcher, cfg.get("env_cfg"), device_type)
        folder = Path(cfg.work_dir)
        stack.enter_context(lock_work_dir(folder))
        stack.enter_context(explain_failures(folder))
        resume = resume or _resume_from_config(cfg)
        resume_path = run_on_main_process(lambda: checkpoint_to_resume(resume, folder))

        cfg = _override_config(cfg, amp=amp, auto_scale_lr=auto_scale_lr, seed=seed,
                               resume_path=resume_path)
        if backbone_from is not None:
            cfg = init_backbone_from(cfg, backbone_from)
        cfg, classes, class_counts = setup_data(cfg, data, folder, training=True)
        cfg = _infer_config(cfg, classes, class_counts)
        if from_scratch:
            cfg = drop_initial_weights(cfg)
        if resume_path is not None:
            resumed_classes = checkpoint_classes(load_checkpoint(resume_path))
            check_same_classes(classes, resumed_classes, resume_path)
            cfg = follow_resumed_plan(cfg, resume_path, minutes, auto_batch, epochs)
        if epochs is not None:
            with config_error_context(cfg, "counting the steps of an epoch"):
                cfg = fit_to_epochs(cfg, epochs)
        cfg, replan_hook = _fit_to_machine(cfg, budget, auto_batch)
        runner = _build_runner(cfg)
        if replan_hook is not None:
            runner.register_hook(replan_hook)

        # The inner explain_failures comes before config_error_context, which would attribute the
        # failure of a data loading process to the config.
        with progress_bar(runner):
            with config_error_context(cfg, "training", runner), explain_failures(folder):
                warn_of_long_warmup(cfg, len(runner.train_loop.dataloader))
                runner.train()
        checkpoint = _best_or_last_checkpoint(runner)
        if checkpoint is not None and is_main_process():
            checkpoint = publish_model(checkpoint, folder, _unwrap_model(runner))
        test_result = None
        if checkpoint is not None and cfg.get("test_dataloader") is not None:
            test_result = _test(cfg, load_checkpoint(checkpoint), str(checkpoint))
        return TrainResult(folder, checkpoint, test_result, _confusion_matrix(test_result, folder),
                           summarize_run(cfg, runner, config, data, classes,
                                         monotonic() - start))


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
    """Evaluate a checkpoint on the test split of a config, or of ``data``.

    Raises:
        DetkitError: the config, the data or the checkpoint is invalid.
    """
    with redirect_stdout(sys.stderr):
        device_type = setup_process(device, launcher)
        cfg = _load_run_config(config, options, work_dir, launcher)
        init_process_group(launcher, cfg.get("env_cfg"), device_type)
        cfg = _override_config(cfg)
        content = load_checkpoint(checkpoint)
        model_classes = checkpoint_classes(content)
        cfg, classes, class_counts = setup_data(cfg, data, Path(cfg.work_dir), training=False,
                                                checkpoint_classes=model_classes)
        cfg = _infer_config(cfg, classes, class_counts)
        if is_classifier(cfg):
            check_same_classes(classes, model_classes, checkpoint)
        return _test(cfg, content, str(checkpoint))


test.__test__ = False  # type: ignore[attr-defined]


def _load_run_config(
    config: str | Path,
    options: Mapping[str, Any] | None,
    work_dir: str | Path | None,
    launcher: str,
) -> Config:
    cfg = load_config(config, options)
    cfg.launcher = launcher
    cfg.work_dir = str(work_dir or cfg.get("work_dir") or default_work_dir(Path(config)))
    return cfg


def _resume_from_config(cfg: Config) -> bool | str:
    """What the config's ``resume`` and ``load_from`` ask for, in the form of ``train``'s resume."""
    if not cfg.get("resume"):
        return False
    return str(cfg.load_from) if cfg.get("load_from") else True


def _override_config(
    cfg: Config,
    *,
    amp: bool = False,
    auto_scale_lr: bool = False,
    seed: int | None = None,
    resume_path: str | None = None,
) -> Config:
    """The config with detkit's components and the arguments of the command."""
    cfg = copy.deepcopy(cfg)
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
    return cfg


def _infer_config(
    cfg: Config, classes: Sequence[str] | None, class_counts: Sequence[int] | None
) -> Config:
    """The config with the fields of the model that follow from the data and the backbone."""
    cfg = copy.deepcopy(cfg)
    with config_error_context(cfg, "reading the data"):
        infer_fields(cfg, classes, class_counts)
    return cfg


def _fit_to_machine(
    cfg: Config, budget: TimeBudget | None, auto_batch: bool
) -> tuple[Config, ReplanHook | None]:
    """The config with the batch size and the schedule that suit this machine; see ``train``."""
    if cfg.get("resume"):
        return cfg, None
    with config_error_context(cfg, "measuring a training step"):
        if auto_batch:
            cfg = choose_batch_size(cfg, None if budget is None else budget.auto_batch_s)
        return (cfg, None) if budget is None else fit_minutes(cfg, budget)


def _build_runner(cfg: Config) -> Any:
    with config_error_context(cfg, "building the model"):
        return DetRunner.from_cfg(cfg)


def _test(cfg: Config, checkpoint: Mapping[str, Any], origin: str) -> TestResult:
    cfg = overrides.test_only_config(copy.deepcopy(cfg))
    cfg.experiment_name = "test"
    # runner.test builds its dataset late and looks it up in this scope; a process that did not
    # train has no other default scope.
    with (DefaultScope.overwrite_default_scope(cfg.default_scope),
          config_error_context(cfg, "testing"), explain_failures()):
        runner: Any = DetRunner.from_cfg(cfg)
        # Not the runner's load_checkpoint, which only warns of tensors that do not match.
        load_state_dict_strict(_unwrap_model(runner), checkpoint.get("state_dict", checkpoint),
                               origin)
        metrics = {name: float(value) for name, value in runner.test().items()}
    scores = next((m.scores for m in runner.test_evaluator.metrics if hasattr(m, "scores")), None)
    return TestResult(metrics, scores)


def _unwrap_model(runner: Any) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _best_or_last_checkpoint(runner: Any) -> Path | None:
    for key in ("best_ckpt", "last_ckpt"):
        path = runner.message_hub.get_info(key, None)
        if path and Path(path).is_file():
            return Path(path)
    return None


def _confusion_matrix(test_result: TestResult | None, folder: Path) -> Path | None:
    """Plot the confusion matrix of a classifier's test; None for detectors."""
    from detkit.evaluation.classification.classification_scores import ClassificationScores
    from detkit.evaluation.classification.confusion_matrix_plot import plot_confusion_matrix

    if test_result is None or not isinstance(test_result.scores, ClassificationScores):
        return None
    plot_path = folder / CONFUSION_MATRIX_FILE
    plot_confusion_matrix(test_result.scores, plot_path, force=True)
    return plot_path
