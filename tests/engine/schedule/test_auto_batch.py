"""The choice among batch sizes that were tried: hand-worked cases."""

import pytest

from detkit.engine.schedule.auto_batch import BatchTrial, expected_memory, fastest


def trials(*speeds, memory=(1.0, 1.5, 2.5, 4.5)):
    return [BatchTrial(2 << index, speed, int(memory[index] * 2**30))
            for index, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("speeds", "batch_size"),
    [
        ((4.0,), 2),
        ((4.0, 4.1, 4.15, 4.15), 2),  # no faster by 5 %
        ((4.0, 5.0, 5.1), 4),
        ((4.0, 4.1, 4.3), 8),  # 7.5 % faster than the smallest
        ((4.0, 3.0, 2.0), 2),
    ],
)
def test_smallest_batch_unless_a_larger_is_faster(speeds, batch_size):
    assert fastest(trials(*speeds)).batch_size == batch_size


def test_memory_lies_on_the_line_through_the_last_two():
    one = trials(4.0)
    assert expected_memory(one, 4) == 2 * 2**30  # nothing is known of what is fixed
    # 4: 1.5 GiB, 8: 2.5 GiB, so 0.25 an image and 4.5 for 16.
    assert expected_memory(trials(4.0, 4.0, 4.0), 16) == 4.5 * 2**30
