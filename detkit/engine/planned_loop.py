"""The training loop of ``--minutes``: a number of iterations that may change during the run.

The param_schedulers count the steps of the plan. While the machine is as fast as it was when the
plan was made, each iteration is one step. If it becomes slower, fewer iterations remain, and one
may advance the schedulers by two steps; if it becomes faster, by none. So the learning rate, the
average of the weights and the validations follow the fraction of the run that is over.

The timeline has the iterations at which that ratio changes, each with the end of the run as it was
planned then. It is part of the run's config, which therefore repeats the run without a clock: what
happens at an iteration depends on the
timeline up to it only, never on what comes after.

Legend: ``pass``: one time through the data, or the part of it before the end of the run or before a
hook switches; ``epoch``: that of the plan, which hooks read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import ParamSchedulerHook

from detkit.engine.divergence import ensure_finite_state
from detkit.engine.loops import EpochBasedTrainLoop
from detkit.engine.reproducibility import SkippingBatchSampler
from detkit.errors import ConfigError
from detkit.registry import HOOKS, LOOPS

Timeline = Sequence[Sequence[int]]


def step_at(timeline: Timeline, num_steps: int, iteration: int) -> int:
    """The step of the plan after ``iteration`` iterations.

    Args:
        timeline: pairs (iteration, planned end), ascending. From that iteration on the steps that
            are left are spread over the iterations to that end, rounded down.
        num_steps: number of steps of the plan, reached at the last pair's end.
        iteration: from 0.
    """
    step = 0
    begins = [begin for begin, _ in timeline[1:]]
    for (begin, end), limit in zip(timeline, [*begins, timeline[-1][1]]):
        done = min(iteration, limit) - begin
        step += done * (num_steps - step) // (end - begin)
        if iteration <= limit:
            break
    return step


def check_timeline(timeline: Any, num_steps: Any) -> None:
    """Check that a timeline ascends from iteration 0, and that there are steps.

    Raises:
        ConfigError: it does not, or there are none.
    """
    pairs = isinstance(timeline, (list, tuple)) and len(timeline) > 0 and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2
        and all(type(value) is int for value in pair) for pair in timeline)
    if not pairs or timeline[0][0] != 0 or timeline[-1][1] <= timeline[-1][0] or any(
            not begin < following < end
            for (begin, end), (following, _) in zip(timeline, timeline[1:])):
        raise ConfigError("train_cfg.timeline", got=str(timeline)[:100],
                          expected="ascending pairs [iteration, planned end] from iteration 0")
    if type(num_steps) is not int or num_steps < 1:
        raise ConfigError("train_cfg.num_steps", got=str(num_steps)[:100],
                          expected="an integer, at least 1")


@LOOPS.register_module()
class PlannedTrainLoop(EpochBasedTrainLoop):
    """A loop over epochs that ends at a planned iteration, also within an epoch.

    Args:
        runner: the runner.
        dataloader: the training dataloader, or its config.
        num_steps: number of steps of the plan.
        timeline: pairs (iteration, planned end) from iteration 0, see `step_at`.
        epoch_length: number of batches of an epoch that the plan was made for; None does not
            check it.
        num_validations: number of validations, evenly spaced over the steps, the last one at the
            end; 0 for none.

    Raises:
        ConfigError: the timeline is invalid, or the data has another number of batches.
        DataError: there are fewer images than one batch, and ``drop_last`` is on.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        num_steps: int,
        timeline: Timeline,
        epoch_length: int | None = None,
        num_validations: int = 1,
    ) -> None:
        check_timeline(timeline, num_steps)
        super().__init__(runner, dataloader, max_epochs=1)
        num_batches = len(self.dataloader)
        if epoch_length is not None and epoch_length != num_batches:
            raise ConfigError("train_cfg.epoch_length: the schedule was planned for other data, "
                              "another batch size or another number of processes",
                              got=f"{num_batches} batches in an epoch", expected=epoch_length,
                              hint="use the data and the batch size of that run, or plan anew with "
                              "--minutes")
        self._num_steps = num_steps
        self._timeline: list[list[int]] = [list(pair) for pair in timeline]
        self._num_validations = num_validations
        # Of the plan: hooks that switch at an epoch must not depend on the machine's speed.
        self._max_epochs = -(-num_steps // num_batches)
        self._max_iters = self._timeline[-1][1]
        self._switch_steps: list[int] = []

    @property
    def timeline(self) -> list[list[int]]:
        """The pairs (iteration, planned end)."""
        return [list(pair) for pair in self._timeline]

    @property
    def num_steps(self) -> int:
        """Number of steps of the plan."""
        return self._num_steps

    def step_at(self, iteration: int) -> int:
        """The step of the plan after ``iteration`` iterations."""
        return step_at(self._timeline, self._num_steps, iteration)

    def validations_done_at(self, iteration: int) -> int:
        """The number of validations that are due within the first ``iteration`` iterations."""
        return self.step_at(iteration) * self._num_validations // self.num_steps

    @property
    def num_validations(self) -> int:
        """Number of validations of the whole run."""
        return self._num_validations

    def change_remaining(self, remaining: int) -> None:
        """End the run ``remaining`` iterations after the current one; called after its step."""
        self._timeline.append([self._iter + 1, self._iter + 1 + remaining])
        self._max_iters = self._timeline[-1][1]

    @property
    def epoch(self) -> int:
        """The epoch of the plan at the current iteration, from 0."""
        return self.step_at(self._iter) // len(self.dataloader)

    def _is_validation_due(self) -> bool:
        done = self.validations_done_at(self._iter)
        return self.runner.val_loop is not None and done > self.validations_done_at(self._iter - 1)

    def _run(self) -> Any:
        self.runner.call_hook("before_train")
        self._switch_steps = [epoch * len(self.dataloader) for epoch in self._switch_epochs()]
        if self._iter > 0 and self._is_validation_due():
            # The checkpoint of an iteration is saved before its validation.
            self.runner.val_loop.run()
        while self._iter < self._max_iters and not self.stop_training:
            self.run_epoch()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> None:
        """Train one pass, or the rest of it after resuming."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        index, start = self._pass_at(self._iter)
        batch_sampler = self.dataloader.batch_sampler
        if hasattr(getattr(batch_sampler, "sampler", None), "set_epoch"):
            # Not the plan's epoch, which two passes on a faster machine may share.
            batch_sampler.sampler.set_epoch(index)
        if isinstance(batch_sampler, SkippingBatchSampler):
            batch_sampler.skip_next = self._iter - start
        for batch_index, batch in enumerate(self.dataloader, self._iter - start):
            self.run_iter(batch_index, batch)
            if self._is_validation_due():
                ensure_finite_state(self.runner)
                self.runner.val_loop.run()
                self.runner.model.train()
            if self._iter >= self._max_iters or self.stop_training or self._is_switch_due():
                break
        self.runner.call_hook("after_train_epoch")

    def _switch_epochs(self) -> list[int]:
        """The epochs of the plan at which a hook changes the training data."""
        epochs = []
        for hook in self.runner.hooks:
            epochs.append(getattr(hook, "switch_epoch", None) or 0)
            if hasattr(hook, "num_last_epochs"):
                epochs.append(self._max_epochs - hook.num_last_epochs - 1)
        return sorted({epoch for epoch in epochs if epoch > 0})

    def _is_switch_due(self) -> bool:
        before, now = self.step_at(self._iter - 1), self.step_at(self._iter)
        return any(before < step <= now for step in self._switch_steps)

    def _pass_at(self, iteration: int) -> tuple[int, int]:
        """The index of the pass that has ``iteration``, and its first iteration."""
        switches = [bisect_left(range(self._max_iters), step, key=self.step_at)
                    for step in self._switch_steps]
        index = start = 0
        while True:
            end = min([start + len(self.dataloader), *(s for s in switches if s > start)])
            if iteration < end:
                return index, start
            index, start = index + 1, end


@HOOKS.register_module()
class PlannedParamSchedulerHook(ParamSchedulerHook):  # type: ignore[misc]
    """Advances the param_schedulers by the steps of the plan that an iteration takes."""

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Step the schedulers no times, once, or several times."""
        loop = runner.train_loop
        for _ in range(loop.step_at(runner.iter + 1) - loop.step_at(runner.iter)):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
