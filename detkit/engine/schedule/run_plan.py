"""How many steps and validations fit into a time: arithmetic on measured times."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detkit.config.schedule.fit_schedule import RunLength
from detkit.errors import DetkitError

# With fewer steps a training learns nothing; a time that is too short for them is an error.
MIN_STEPS = 20
# Validations together take at most the first fraction of the time; a single one at most the second.
MAX_VALIDATION, MAX_SINGLE_VALIDATION = 0.1, 0.15
# Publishing the best checkpoint, ending the data loaders, plots and the exit of Python: so many
# seconds, and this fraction of the time that the run takes to start.
CLOSING_S, CLOSING_FRACTION = 1.5, 0.5
_MAX_CHECKPOINT_S = 300.0
_CHECKPOINTS = 10


@dataclass(frozen=True)
class SplitTime:
    """The time of a validation or a test.

    Args:
        startup_s: seconds before the first batch: data, data loading processes; for the test also
            the model.
        image_s: seconds for each image.
        num_images: number of images of the split.
    """

    startup_s: float = 0.0
    image_s: float = 0.0
    num_images: int = 0

    @property
    def total_s(self) -> float:
        """Seconds for the split."""
        return self.startup_s + self.image_s * self.num_images

    def rescaled(self, measured_s: float, images: int) -> SplitTime:
        """The same split, after another one of ``images`` images took ``measured_s`` seconds."""
        image_s = max(0.0, measured_s - min(self.startup_s, measured_s / 2)) / max(images, 1)
        return SplitTime(self.startup_s, image_s, self.num_images)


@dataclass(frozen=True)
class MeasuredTimes:
    """The times of a run on this machine.

    Args:
        step_s: seconds of a training step.
        epoch_length: number of steps of an epoch.
        validation: a validation; None without a validation split.
        test: the test; None without a test split.
        setup_s: seconds from the plan to the first step: the model, the data and the weights.
        num_timed_steps: number of steps that ``step_s`` is the mean of.
    """

    step_s: float
    epoch_length: int
    validation: SplitTime | None
    test: SplitTime | None
    setup_s: float = 0.0
    num_timed_steps: int = 0

    @property
    def final_s(self) -> float:
        """Seconds from the end of the training to the end of the command."""
        closing_s = CLOSING_S + CLOSING_FRACTION * self.setup_s
        return closing_s + (self.test.total_s if self.test else 0.0)


def plan_run(
    times: MeasuredTimes, budget_s: float, spent_s: float, max_validations: int, multiple: int = 1
) -> RunLength:
    """The longest run that fits into a time.

    Args:
        times: measured on this machine.
        budget_s: seconds for the whole command.
        spent_s: seconds of them that are over.
        max_validations: number of validations of the config's schedule.
        multiple: the number of steps is a multiple of this, for optimizers that accumulate
            gradients.

    Raises:
        DetkitError: fewer than `MIN_STEPS` steps fit; the message has the shortest time.
    """
    left_s = budget_s - spent_s - times.setup_s - times.final_s
    validations = 0
    validation_s = times.validation.total_s if times.validation else math.inf
    if max_validations and left_s > 0 and validation_s < math.inf:
        fitting = int(MAX_VALIDATION * left_s / validation_s) if validation_s else max_validations
        single = int(validation_s <= MAX_SINGLE_VALIDATION * left_s)
        validations = min(max_validations, max(fitting, single))
    if validations:
        left_s -= validations * validation_s
    min_steps = math.ceil(MIN_STEPS / multiple) * multiple
    steps = int(max(left_s, 0.0) / times.step_s) // multiple * multiple
    if steps < min_steps:
        setup_s = spent_s + times.setup_s
        least_s = setup_s + times.final_s + min_steps * times.step_s
        parts = [f"{setup_s:.0f} s for the data, the model and measuring",
                 f"{min_steps} steps of {times.step_s:.2f} s"]
        if times.test:
            parts.append(f"{times.test.total_s:.0f} s for the test")
        raise DetkitError(
            "--minutes: the time is too short", got=f"{budget_s / 60:g}",
            expected=f"at least {math.ceil(least_s * 1.1 / 6) / 10:g}",
            hint=f"it takes {', '.join(parts)}; smaller images or a smaller model take less")
    interval = min(math.ceil(steps / _CHECKPOINTS), int(_MAX_CHECKPOINT_S / times.step_s))
    return RunLength(steps, times.epoch_length, validations, max(1, interval))


def remaining_iterations(
    left_s: float, step_s: float, validation_s: float, final_s: float, done: int, multiple: int = 1
) -> int:
    """The number of iterations that fit into the rest of the time, at least one.

    Args:
        left_s: seconds to the end of the time.
        step_s: seconds of an iteration, measured last.
        validation_s: seconds of all validations that are left.
        final_s: seconds from the end of the training to the end of the command.
        done: number of iterations that are done.
        multiple: the run's number of iterations is a multiple of this.
    """
    fitting = int(max(left_s - validation_s - final_s, 0.0) / step_s)
    return max((done + fitting) // multiple * multiple, (done // multiple + 1) * multiple) - done
