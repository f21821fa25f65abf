"""Keeps a planned run within its time: measures it again and changes what remains."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from mmengine.hooks import Hook

from detkit.engine.distributed import run_on_main_process
from detkit.engine.schedule.run_plan import MeasuredTimes, SplitTime, remaining_iterations

# Fractions of the run after which the rest is planned again. The last ones are close together,
# because what they do not correct remains.
REPLAN_AT = (0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.87, 0.94, 0.98)
# A new step time counts as if so many iterations of the old one had been measured with it.
_PRIOR_ITERATIONS = 4


class ReplanHook(Hook):  # type: ignore[misc]
    """Plans the rest of a ``PlannedTrainLoop`` again, and writes it into the run's config.

    It is not part of a config: a repeated or resumed run follows the timeline as it is written.

    Args:
        times: measured before the run.
        deadline: the monotonic clock at which the command should end.
        multiple: the run's number of iterations is a multiple of this.
        clock: the monotonic clock.
    """

    priority = "LOWEST"

    def __init__(
        self, times: MeasuredTimes, deadline: float, multiple: int = 1,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._test = times.test
        self._final_s = times.final_s - (times.test.total_s if times.test else 0.0)
        self._validation = times.validation
        self._step_s = times.step_s
        self._deadline = deadline
        self._multiple = multiple
        self._clock = clock
        self._start = self._validation_start = 0.0
        self._validating_s = 0.0
        self._num_iters = 0

    def before_train(self, runner: Any) -> None:
        """Start the clock."""
        self._restart()

    def before_val_epoch(self, runner: Any) -> None:
        """Start the clock of a validation."""
        self._validation_start = self._clock()

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Take the time of a validation, and expect the same of the next ones and of the test."""
        seconds = self._clock() - self._validation_start
        self._validating_s += seconds
        if self._validation is None:
            return
        images = self._validation.num_images
        if self._test is not None:
            self._test = self._test.rescaled(seconds, images)
        self._validation = SplitTime(0.0, seconds / max(images, 1), images)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Plan again if one of the fractions of the run is over."""
        self._num_iters += 1
        loop = runner.train_loop
        before, after = loop.step_at(runner.iter), loop.step_at(runner.iter + 1)
        is_due = any(before < fraction * loop.num_steps <= after for fraction in REPLAN_AT)
        if is_due and runner.iter + 1 < loop.max_iters:
            self._replan(runner, loop)

    def _restart(self) -> None:
        self._start, self._validating_s, self._num_iters = self._clock(), 0.0, 0

    def _replan(self, runner: Any, loop: Any) -> None:
        now = self._clock()
        spent = now - self._start - self._validating_s
        self._step_s = (spent + _PRIOR_ITERATIONS * self._step_s) / (
            self._num_iters + _PRIOR_ITERATIONS)
        done = runner.iter + 1
        validations = loop.num_validations - loop.validations_done_at(done - 1)
        remaining = run_on_main_process(lambda: remaining_iterations(
            self._deadline - now, self._step_s,
            validations * (self._validation.total_s if self._validation else 0.0),
            self._final_s + (self._test.total_s if self._test else 0.0), done, self._multiple))
        if done + remaining != loop.max_iters:
            runner.logger.info(f"{remaining} more iterations instead of {loop.max_iters - done}: "
                               f"{self._step_s:.3g} s for each")
            loop.change_remaining(remaining)
            runner.cfg.train_cfg.timeline = loop.timeline
            runner.dump_config()
        self._restart()
