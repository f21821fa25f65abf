"""What fits into a time: hand-worked cases."""

import pytest

from detkit.engine.schedule.run_plan import (
    CLOSING_S,
    MeasuredTimes,
    SplitTime,
    plan_run,
    remaining_iterations,
)
from detkit.errors import DetkitError

VALIDATION = SplitTime(startup_s=1.0, image_s=0.1, num_images=40)  # 5 s
TEST = SplitTime(startup_s=3.0, image_s=0.1, num_images=70)  # 10 s


def test_time_without_validation_and_test_is_all_steps():
    times = MeasuredTimes(0.5, 50, None, None)
    length = plan_run(times, 100 + CLOSING_S, 0, max_validations=5)
    assert (length.num_steps, length.num_validations, length.epoch_length) == (200, 0, 50)
    assert length.num_epochs == 4.0
    assert length.checkpoint_interval == 20


def test_what_is_spent_and_the_end_are_left_out():
    # 900 - 20 - 8 - (1.5 + 8 / 2 + 10) = 856.5 s; a tenth allows 17 validations, the config has 6.
    times = MeasuredTimes(0.5, 50, VALIDATION, TEST, setup_s=8.0)
    length = plan_run(times, 900, 20, max_validations=6)
    assert length.num_validations == 6
    assert length.num_steps == 1653  # (856.5 - 6 * 5) / 0.5


@pytest.mark.parametrize(
    ("left_s", "validations"),
    [
        (200, 4),  # a tenth is 20 s: four of 5 s
        (40, 1),  # a tenth is less than one, but one takes 12.5 %
        (30, 0),  # one would take 17 %
    ],
)
def test_validations_take_a_tenth_of_the_time(left_s, validations):
    times = MeasuredTimes(0.1, 10, VALIDATION, TEST)
    length = plan_run(times, left_s + times.final_s, 0, max_validations=6)
    assert length.num_validations == validations


def test_time_below_one_epoch_is_a_part_of_it():
    length = plan_run(MeasuredTimes(1.0, 5000, None, None), 61.5, 0, 1)
    assert length.num_steps == 60 and length.num_epochs == 0.012


def test_steps_are_a_multiple_of_the_accumulated_batches():
    times = MeasuredTimes(1.0, 50, None, None)
    assert plan_run(times, 63 + CLOSING_S, 0, 1, multiple=4).num_steps == 60


def test_checkpoint_at_least_every_five_minutes():
    length = plan_run(MeasuredTimes(2.0, 50, None, None), 20_000 + CLOSING_S, 0, 1)
    assert length.checkpoint_interval == 150


@pytest.mark.parametrize(("budget_s", "fits"), [(76.6, True), (76.4, False), (5, False)])
def test_too_short_a_time_names_the_shortest(budget_s, fits):
    # 30 s spent, 10 s to start, 20 steps of 1 s, 10 s test, 1.5 + 10 / 2 s to end: 76.5 s.
    times = MeasuredTimes(1.0, 50, None, TEST, setup_s=10.0)
    if fits:
        assert plan_run(times, budget_s, 30, 1).num_steps == 20
        return
    with pytest.raises(DetkitError) as caught:
        plan_run(times, budget_s, 30, 1)
    # A tenth more for what drifts: 84.15 s, rounded up to tenths of a minute.
    assert caught.value.expected == "at least 1.5"
    assert "10 s for the test" in str(caught.value)


def test_another_split_is_expected_to_be_as_fast_for_an_image():
    # 100 images took 21 s, of them 1 s to start: 0.2 s an image.
    assert SplitTime(1.0, 9.0, 70).rescaled(21.0, 100) == SplitTime(1.0, 0.2, 70)


@pytest.mark.parametrize(
    ("left_s", "step_s", "done", "multiple", "expected"),
    [
        (100, 1.0, 50, 1, 70),  # 100 - 20 for a validation - 10 for the end
        (100, 2.0, 50, 1, 35),
        (100, 1.0, 51, 4, 69),  # 51 + 70 = 121, of which 120 is a multiple of 4
        (25, 1.0, 50, 1, 1),  # no time is left: one iteration
        (-5, 1.0, 51, 4, 1),  # to 52
        (-5, 1.0, 52, 4, 4),
    ],
)
def test_remaining_iterations(left_s, step_s, done, multiple, expected):
    assert remaining_iterations(left_s, step_s, 20, 10, done, multiple) == expected
