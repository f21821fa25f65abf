"""``--auto-batch``: the batch size that fits into the memory and is the fastest for an image."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device

from detkit.config.overrides import AUTO_BATCH_KEY, enable_lr_scaling
from detkit.engine.schedule.measure import release_memory, run_trial, trial_runner
from detkit.errors import ConfigError, DetkitError, is_out_of_memory
from detkit.machine.memory import available_memory

SIZES = tuple(2**power for power in range(1, 11))
# A larger batch must be faster by this much: it takes memory, and fewer steps fit into an epoch.
MIN_GAIN = 1.05
# Fraction of the memory that a batch size may need, and the factor to the next size's need.
MAX_MEMORY = 0.8
# With fewer steps in an epoch the optimizer makes too few updates.
MIN_EPOCH_STEPS = 4
NO_TIME = "no time for larger ones"


@dataclass(frozen=True)
class BatchTrial:
    """A batch size that was tried.

    Args:
        batch_size: number of images of a step.
        images_per_s: speed of the training.
        memory: peak of the process in bytes.
    """

    batch_size: int
    images_per_s: float
    memory: int


def check_auto_batch(cfg: Config, options: Mapping[str, Any] | None, launcher: str) -> None:
    """Check that a batch size can be chosen.

    Args:
        cfg: the config.
        options: those of ``--cfg-options``.
        launcher: of the command.

    Raises:
        ConfigError: the run has several processes, an option sets the batch size, or the config
            has no ``auto_scale_lr.base_batch_size`` or no ``batch_size`` of its own.
    """
    if launcher != "none":
        raise ConfigError("--auto-batch measures one process", got=f"--launcher {launcher}",
                          hint="set --cfg-options train_dataloader.batch_size=N")
    if "train_dataloader.batch_size" in (options or {}):
        raise ConfigError("--auto-batch chooses the batch size, and so does --cfg-options "
                          "train_dataloader.batch_size", expected="one of them")
    if "batch_size" not in (cfg.get("train_dataloader") or {}):
        raise ConfigError("--auto-batch: the config has no train_dataloader.batch_size")
    enable_lr_scaling(copy.deepcopy(cfg), "--auto-batch")


def choose_batch_size(cfg: Config, max_s: float | None = None) -> Config:
    """Return ``cfg`` with the fastest batch size that fits, and the learning rate scaled to it.

    Args:
        cfg: the config of the run, complete; not changed.
        max_s: no larger size is tried after so many seconds; the config's is kept if that is
            before its turn. None tries all that fit.

    Raises:
        ConfigError: the config has no ``auto_scale_lr.base_batch_size``.
        DetkitError: the smallest batch does not fit into the memory.
    """
    cfg = copy.deepcopy(cfg)
    enable_lr_scaling(cfg, "--auto-batch")
    trials, reason = _try_sizes(cfg, max_s)
    release_memory()
    batch_size, configured = fastest(trials).batch_size, cfg.train_dataloader.batch_size
    if reason == NO_TIME and configured > trials[-1].batch_size:
        batch_size = configured  # too few were tried to know better
    base = cfg.auto_scale_lr.base_batch_size
    print(f"--auto-batch: {batch_size} images a step; " + ", ".join(
        f"{trial.batch_size}: {trial.images_per_s:.3g} images/s {trial.memory / 2**30:.2g} GiB"
        for trial in trials) + f"; {reason}\n  learning rate scaled by {batch_size}/{base}",
        file=sys.stderr)
    cfg.train_dataloader.batch_size = batch_size
    cfg.auto_scale_lr[AUTO_BATCH_KEY] = True
    return cfg


def fastest(trials: Sequence[BatchTrial]) -> BatchTrial:
    """The smallest batch size, unless a larger one is faster by `MIN_GAIN`."""
    chosen = trials[0]
    for trial in trials[1:]:
        if trial.images_per_s > chosen.images_per_s * MIN_GAIN:
            chosen = trial
    return chosen


def expected_memory(trials: Sequence[BatchTrial], batch_size: int) -> float:
    """The peak memory of ``batch_size`` in bytes, on the line through the last two trials."""
    last = trials[-1]
    if len(trials) == 1:
        return last.memory * batch_size / last.batch_size
    before = trials[-2]
    slope = (last.memory - before.memory) / (last.batch_size - before.batch_size)
    return last.memory + max(slope, 0.0) * (batch_size - last.batch_size)


def _try_sizes(cfg: Config, max_s: float | None) -> tuple[list[BatchTrial], str]:
    """Try sizes from the smallest on; the trials, and why no larger one was tried."""
    start, trials = perf_counter(), list[BatchTrial]()
    limit = MAX_MEMORY * _total_memory()
    num_images = 0
    for size in SIZES:
        if trials:
            if size * MIN_EPOCH_STEPS > num_images:
                return trials, f"{num_images} images are few for larger batches"
            need = expected_memory(trials, size)
            if need > limit:
                return trials, (f"{size} images would take {need / 2**30:.2g} of "
                                f"{limit / MAX_MEMORY / 2**30:.2g} GiB")
            if len(trials) > 2 and fastest(trials).batch_size <= trials[-3].batch_size:
                return trials, "larger batches are no faster"
            if max_s is not None and perf_counter() - start > max_s:
                return trials, NO_TIME
        release_memory()
        try:
            trial, num_images = _try_size(cfg, size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if not trials:
                raise DetkitError(f"--auto-batch: {size} images do not fit into the memory",
                                  hint="use smaller images or a smaller model") from error
            return trials, f"{size} images do not fit into the memory"
        trials.append(trial)
    return trials, "the largest that is tried"


def _try_size(cfg: Config, batch_size: int) -> tuple[BatchTrial, int]:
    """Train a few steps; the trial, and the number of training images."""
    _reset_peak()
    with trial_runner(cfg, batch_size) as runner:
        times = run_trial(runner, max_s=0.0)
        num_images = len(runner.train_dataloader.dataset)
        memory = _peak_memory()
    return BatchTrial(batch_size, batch_size / times.mean_s, memory), num_images


def _total_memory() -> float:
    """The memory in bytes that the training may use, with what this process uses already."""
    if get_device() == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return float(free + torch.cuda.memory_reserved())
    return float(available_memory() + _status_bytes("VmRSS"))


def _reset_peak() -> None:
    if get_device() == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # the peak is then that of the largest size until now, which is tried last
        pass


def _peak_memory() -> int:
    if get_device() == "cuda":
        return torch.cuda.max_memory_allocated()
    return _status_bytes("VmHWM")


def _status_bytes(name: str) -> int:
    """A value of this process in bytes from the system, its peak where there is no other; else 0.

    Args:
        name: a field of Linux's ``/proc/self/status``.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
