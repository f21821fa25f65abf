"""The timeline of a planned run: hand-worked cases."""

import pytest

from detkit.engine.planned_loop import change_remaining, check_timeline, step_at
from detkit.errors import ConfigError


def test_each_iteration_is_one_step_of_an_unchanged_plan():
    assert [step_at([[0, 0], [4, 4]], i) for i in range(6)] == [0, 1, 2, 3, 4, 4]


def test_slower_machine_takes_several_steps_at_once():
    # 8 steps are left after 2 of 10; only 4 iterations fit: two steps each.
    timeline = change_remaining([[0, 0], [10, 10]], 2, 4)
    assert timeline == [[0, 0], [2, 2], [6, 10]]
    assert [step_at(timeline, i) for i in range(7)] == [0, 1, 2, 4, 6, 8, 10]


def test_faster_machine_takes_some_iterations_without_a_step():
    # 2 steps are left after 4 of 6, and 3 iterations fit.
    timeline = change_remaining([[0, 0], [6, 6]], 4, 3)
    assert [step_at(timeline, i) for i in range(8)] == [0, 1, 2, 3, 4, 4, 5, 6]


def test_a_second_change_keeps_the_past():
    timeline = change_remaining([[0, 0], [2, 2], [6, 10]], 4, 1)
    assert timeline == [[0, 0], [2, 2], [4, 6], [5, 10]]
    assert [step_at(timeline, i) for i in range(5)] == [0, 1, 2, 4, 6]


@pytest.mark.parametrize("timeline", [
    [], [[0, 0]], [[0, 0], [5, 0]], [[0, 1], [5, 5]], [[0, 0], [5, 5], [5, 6]],
    [[0, 0], [5, 5], [6, 4]], [[0, 0], [5.0, 5]], [[0, 0], [True, 5]], [[0, 0], "55"], None, 7,
])
def test_invalid_timeline_is_an_error(timeline):
    with pytest.raises(ConfigError, match="train_cfg.timeline"):
        check_timeline(timeline)
