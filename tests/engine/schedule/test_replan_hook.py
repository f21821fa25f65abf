"""When and how the rest of a run is planned again, on a clock of the test's own."""

from types import SimpleNamespace

import pytest
from mmengine.config import ConfigDict

from detkit.engine.planned_loop import step_at
from detkit.engine.schedule.replan_hook import ReplanHook
from detkit.engine.schedule.run_plan import MeasuredTimes, SplitTime


class ClockedRun:
    """The parts of a runner and its loop that the hook reads, and a clock."""

    def __init__(self, num_steps, num_validations):
        self.now, self.iter, self.dumps, self.num_steps = 0.0, 0, 0, num_steps
        self.timeline, self.num_validations = [[0, num_steps]], num_validations
        self.logger = SimpleNamespace(info=lambda text: None)
        self.cfg = ConfigDict(train_cfg={})
        self.train_loop = self

    @property
    def max_iters(self):
        return self.timeline[-1][1]

    def step_at(self, iteration):
        return step_at(self.timeline, self.num_steps, iteration)

    def validations_done_at(self, iteration):
        return self.step_at(iteration) * self.num_validations // self.num_steps

    def change_remaining(self, remaining):
        self.timeline.append([self.iter + 1, self.iter + 1 + remaining])

    def dump_config(self):
        self.dumps += 1
        assert self.cfg.train_cfg.timeline == self.timeline

    def play(self, hook, seconds_of_step, validation_s=0.0):
        """Run all iterations and validations; returns the time at the end."""
        while self.iter < self.max_iters:
            self.now += seconds_of_step(self.iter)
            hook.after_train_iter(self, 0)
            self.iter += 1
            if self.validations_done_at(self.iter) > self.validations_done_at(self.iter - 1):
                hook.before_val_epoch(self)
                self.now += validation_s
                hook.after_val_epoch(self)
        return self.now


def hook_of(run, times, deadline):
    return ReplanHook(times, deadline, clock=lambda: run.now)


def test_an_even_machine_keeps_its_plan():
    run = ClockedRun(100, 0)
    times = MeasuredTimes(1.0, 10, None, None)
    run.play(hook_of(run, times, 100 + times.final_s), lambda iteration: 1.0)
    assert run.timeline == [[0, 100]] and run.dumps == 0


@pytest.mark.parametrize(
    ("begin", "factor"),
    [(0, 0.5), (0, 0.8), (0, 1.3), (0, 3.0), (50, 0.5), (50, 3.0), (100, 0.5), (100, 2.0),
     (150, 0.5), (150, 1.5), (180, 0.8), (180, 1.2)])
def test_run_ends_in_time_although_the_speed_changes(begin, factor):
    # 200 s of training, then a test of 20 s; from an iteration on all takes another time.
    run = ClockedRun(200, 0)
    times = MeasuredTimes(1.0, 10, None, SplitTime(0.0, 0.2, 100))
    deadline = 200 + times.final_s
    end = run.play(hook_of(run, times, deadline),
                   lambda iteration: factor if iteration >= begin else 1.0)
    end += times.final_s + 20 * (factor - 1)
    assert abs(end - deadline) <= 0.05 * deadline
    assert run.max_iters != 200 and run.step_at(run.iter) == 200


def test_validations_are_expected_to_take_as_long_as_the_last_one():
    # Four validations that were measured as 1 s each and take 10 s: 36 s less for 1 s steps.
    run = ClockedRun(200, 4)
    times = MeasuredTimes(1.0, 10, SplitTime(0.0, 0.1, 10), None)
    deadline = 204 + times.final_s
    end = run.play(hook_of(run, times, deadline), lambda iteration: 1.0, validation_s=10.0)
    assert abs(end + times.final_s - deadline) <= 0.02 * deadline
    assert 160 <= run.iter <= 168


def test_no_time_left_ends_the_run_soon():
    run = ClockedRun(200, 0)
    times = MeasuredTimes(1.0, 10, None, None)
    run.play(hook_of(run, times, 5.0), lambda iteration: 1.0)
    assert run.iter == 11  # one iteration after the first time that it is planned, at 5 %
    assert step_at(run.timeline, 200, run.iter) == 200
