"""Which size and number of proposals let a video run at the frames a second that are asked for.

Settings are tried on the video's own first frames, through the whole chain, from the most accurate
to the quickest; those that cannot make it by what was measured before are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# What is reached on the first frames must be reached on busier ones, too, and the file's opening
# and closing be paid for.
FPS_MARGIN = 1.2
# A prediction that is so much too low is still worth a trial.
PREDICTION_TOLERANCE = 0.85


@dataclass(frozen=True)
class TrialConfig:
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
class TrialResult:
    """What a setting does on the first frames.

    Args:
        fps: frames a second through the whole chain.
        model_ms: milliseconds of the model for a frame.
        other_ms: milliseconds of all other stages for a frame.
    """

    fps: float
    model_ms: float
    other_ms: float


@dataclass(frozen=True)
class TuningResult:
    """The setting to run with.

    Args:
        config: the first that is quick enough; the quickest of the tried where none is.
        result: what it did.
        target_met: whether it is quick enough.
    """

    config: TrialConfig
    result: TrialResult
    target_met: bool


def trial_configs(
    long_side: int, divisor: int, proposals: int | None, batches: Sequence[int] = (1,)
) -> list[TrialConfig]:
    """What to try, the most accurate first.

    Args:
        long_side: of the network's pictures as the checkpoint was tested, in pixels.
        divisor: sizes are multiples of it.
        proposals: of the checkpoint's config; None for a single-stage detector.
        batches: numbers of frames in a call, each tried at a size before the next size.
    """
    reduced = None if proposals is None else min(proposals, 100)
    minimum = None if proposals is None else min(proposals, 50)
    steps = [(1.0, proposals), (1.0, reduced), (0.8, reduced), (0.65, reduced), (0.5, reduced),
             (0.4, minimum)]
    configs: list[TrialConfig] = []
    for factor, num_proposals in steps:
        side = max(divisor, round(long_side * factor / divisor) * divisor)
        # Half of a two-stage detector's time goes by its pixels, half by its proposals.
        share = 1.0 if proposals is None or num_proposals is None else num_proposals / proposals
        cost = (side / long_side) ** 2 * (0.5 if proposals else 1.0) + (
            0.5 * share if proposals else 0.0)
        for batch in batches:
            config = TrialConfig(side, num_proposals, batch, cost)
            if config not in configs:
                configs.append(config)
    return configs


def select_config(
    configs: Sequence[TrialConfig], target: float, trial: Callable[[TrialConfig], TrialResult]
) -> TuningResult:
    """The first of ``configs`` that reaches ``target`` frames a second with a margin.

    Args:
        configs: at least one, the most accurate first.
        target: frames a second, above 0.
        trial: measures a setting.
    """
    best: TuningResult | None = None
    last: tuple[TrialConfig, TrialResult] | None = None
    for index, config in enumerate(configs):
        # The quickest is tried in any case: something must be.
        if last is not None and index < len(configs) - 1 and _too_slow(config, last, target):
            continue
        result = trial(config)
        last = config, result
        if result.fps >= target * FPS_MARGIN:
            return TuningResult(config, result, True)
        if best is None or result.fps > best.result.fps:
            best = TuningResult(config, result, result.fps >= target)
    if best is None:
        raise ValueError("configs: got none, expected at least one")
    return best


def _too_slow(config: TrialConfig, last: tuple[TrialConfig, TrialResult], target: float) -> bool:
    previous, result = last
    model_ms = result.model_ms * config.cost / previous.cost
    expected = result.fps * (result.model_ms + result.other_ms) / max(model_ms + result.other_ms,
                                                                      1e-6)
    return expected < target * PREDICTION_TOLERANCE
