"""Which size and number of proposals let a video run at the frames a second that are asked for.

Settings are tried on the video's own first frames, through the whole chain, from the most accurate
to the quickest; those that cannot make it by what was measured before are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# What is reached on the first frames must be reached on busier ones, too, and the file's opening
# and closing be paid for.
MARGIN = 1.2
# A prediction that is so much too low is still worth a trial.
DOUBT = 0.85


@dataclass(frozen=True)
class Setting:
    """What may be changed to be quicker.

    Args:
        size: the longer side of the network's pictures, in pixels; None for the checkpoint's.
        proposals: of a two-stage detector; None for the checkpoint's.
        batch: frames in a call of the model.
        cost: of the model, by that of the first setting; a guess by pixels and proposals.
    """

    size: int | None
    proposals: int | None
    batch: int
    cost: float


@dataclass(frozen=True)
class Measured:
    """What a setting does on the first frames.

    Args:
        fps: frames a second through the whole chain.
        detect: milliseconds of the model for a frame.
        rest: milliseconds of all other stages for a frame.
    """

    fps: float
    detect: float
    rest: float


@dataclass(frozen=True)
class Choice:
    """The setting to run with.

    Args:
        setting: the first that is quick enough; the quickest of the tried where none is.
        measured: what it did.
        met: whether it is quick enough.
    """

    setting: Setting
    measured: Measured
    met: bool


def settings_for(
    long_side: int, divisor: int, proposals: int | None, batches: Sequence[int] = (1,)
) -> list[Setting]:
    """What to try, the most accurate first.

    Args:
        long_side: of the network's pictures as the checkpoint was tested, in pixels.
        divisor: sizes are multiples of it.
        proposals: of the checkpoint's config; None for a single-stage detector.
        batches: numbers of frames in a call, each tried at a size before the next size.
    """
    few = None if proposals is None else min(proposals, 100)
    fewest = None if proposals is None else min(proposals, 50)
    ladder = [(1.0, proposals), (1.0, few), (0.8, few), (0.65, few), (0.5, few), (0.4, fewest)]
    found: list[Setting] = []
    for factor, number in ladder:
        side = max(divisor, round(long_side * factor / divisor) * divisor)
        # Half of a two-stage detector's time goes by its pixels, half by its proposals.
        share = 1.0 if proposals is None or number is None else number / proposals
        cost = (side / long_side) ** 2 * (0.5 if proposals else 1.0) + (
            0.5 * share if proposals else 0.0)
        for batch in batches:
            setting = Setting(side, number, batch, cost)
            if setting not in found:
                found.append(setting)
    return found


def choose(
    settings: Sequence[Setting], target: float, trial: Callable[[Setting], Measured]
) -> Choice:
    """The first of ``settings`` that reaches ``target`` frames a second with a margin.

    Args:
        settings: at least one, the most accurate first.
        target: frames a second, above 0.
        trial: measures a setting.
    """
    best: Choice | None = None
    last: tuple[Setting, Measured] | None = None
    for place, setting in enumerate(settings):
        # The quickest is tried in any case: something must be.
        if last is not None and place < len(settings) - 1 and _too_slow(setting, last, target):
            continue
        measured = trial(setting)
        last = setting, measured
        if measured.fps >= target * MARGIN:
            return Choice(setting, measured, True)
        if best is None or measured.fps > best.measured.fps:
            best = Choice(setting, measured, measured.fps >= target)
    if best is None:
        raise ValueError("settings: got none, expected at least one")
    return best


def _too_slow(setting: Setting, last: tuple[Setting, Measured], target: float) -> bool:
    before, measured = last
    detect = measured.detect * setting.cost / before.cost
    expected = measured.fps * (measured.detect + measured.rest) / max(detect + measured.rest, 1e-6)
    return expected < target * DOUBT
