"""Keeps a planned run within its time: measures it again and changes what remains."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from mmengine.hooks import Hook

from detkit.engine.distributed import run_on_main_process
from detkit.engine.schedule.run_plan import MeasuredTimes, SplitTime, remaining_iterations

# Fractions of the run after which the rest is planned again; at the last, the rest is short enough
# that its error does not matter.
REPLAN_AT = (*(percent / 100 for percent in range(5, 100, 5)), 0.98)
# A smaller change, as a fraction of the run, waits until the last of them.
_MIN_CHANGE = 0.01
# A new step time counts as if so many iterations of the old one had been measured with it.
_PRIOR_ITERATIONS = 4
# What slows the training slows the evaluation, which was measured at another moment; at most by so
# much more.
_MAX_SLOWDOWN = 4.0


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
        self._step_s = self._evaluation_step_s = times.step_s
        self._has_validated = False
        self._deadline = deadline
        self._multiple = multiple
        self._clock = clock
        self._start = self._validation_start = 0.0
        self._validating_s = 0.0
        self._num_iters = 0
        self._has_begun = False

    def before_val_epoch(self, runner: Any) -> None:
        """Start the clock of a validation."""
        self._validation_start = self._clock()

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Take the time of a validation, and expect the same of the next ones and of the test."""
        seconds = self._clock() - self._validation_start
        self._validating_s += seconds
        self._has_validated = True
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
        if not self._has_begun:  # the first iteration starts the data loading processes
            self._has_begun = True
            self._restart()
            return
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
        if self._has_validated:
            self._evaluation_step_s, self._has_validated = self._step_s, False
        slowdown = min(max(self._step_s / self._evaluation_step_s, 1 / _MAX_SLOWDOWN),
                       _MAX_SLOWDOWN)
        done = runner.iter + 1
        validations = loop.num_validations - loop.validations_done_at(done - 1)
        validation_s = validations * (self._validation.total_s if self._validation else 0.0)
        test_s = self._test.total_s if self._test else 0.0
        remaining = run_on_main_process(lambda: remaining_iterations(
            self._deadline - now, self._step_s, validation_s * slowdown,
            (self._final_s + test_s) * slowdown, done, self._multiple))
        change = abs(done + remaining - loop.max_iters)
        is_last = loop.step_at(done) >= REPLAN_AT[-1] * loop.num_steps
        if change and (is_last or change >= _MIN_CHANGE * loop.max_iters):
            runner.logger.info(f"{remaining} more iterations instead of {loop.max_iters - done}: "
                               f"{self._step_s:.3g} s for each")
            loop.change_remaining(remaining)
            runner.cfg.train_cfg.timeline = loop.timeline
            runner.dump_config()
        self._restart()
