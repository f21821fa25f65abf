"""The timeline of a planned run: hand-worked cases."""

import pytest

from detkit.engine.planned_loop import check_timeline, step_at
from detkit.errors import ConfigError


def steps(timeline, num_steps, last):
    return [step_at(timeline, num_steps, iteration) for iteration in range(last + 1)]


def test_each_iteration_is_one_step_of_an_unchanged_plan():
    assert steps([[0, 4]], 4, 5) == [0, 1, 2, 3, 4, 4]


def test_slower_machine_takes_several_steps_at_once():
    # 8 steps are left after 2 of 10; only 4 iterations fit: two steps each.
    assert steps([[0, 10], [2, 6]], 10, 6) == [0, 1, 2, 4, 6, 8, 10]


def test_faster_machine_takes_some_iterations_without_a_step():
    # 2 steps are left after 4 of 6, and 3 iterations fit.
    assert steps([[0, 6], [4, 7]], 6, 7) == [0, 1, 2, 3, 4, 4, 5, 6]


def test_a_change_leaves_the_past_as_it_was():
    # 4 iterations for 6 steps from 2 on: 1.5 steps each. After two of them one iteration is left.
    before = steps([[0, 8], [2, 6]], 8, 6)
    assert before == [0, 1, 2, 3, 5, 6, 8]
    assert steps([[0, 8], [2, 6], [4, 5]], 8, 5) == [*before[:5], 8]
    assert steps([[0, 8], [2, 6], [4, 10]], 8, 10) == [*before[:5], 5, 6, 6, 7, 7, 8]


@pytest.mark.parametrize("timeline", [
    [], [[0, 0]], [[1, 5]], [[0, 5], [5, 6]], [[0, 5], [3, 3]], [[0, 5], [3, 6], [2, 7]],
    [[0, 5.0]], [[0, True]], [[0, 5], "55"], [[0, 5, 5]], None, 7,
])
def test_invalid_timeline_is_an_error(timeline):
    with pytest.raises(ConfigError, match="train_cfg.timeline"):
        check_timeline(timeline, 5)


@pytest.mark.parametrize("num_steps", [0, -1, 2.0, True, None])
def test_no_steps_are_an_error(num_steps):
    with pytest.raises(ConfigError, match="train_cfg.num_steps"):
        check_timeline([[0, 5]], num_steps)
