"""Choose the input size, proposals and batch with which a video reaches a target frame rate.

Configs are tried on the first frames of the video, from the most accurate to the fastest. A config
is skipped if the measurements so far predict that it is too slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Later frames may have more objects, and opening and closing the file takes time, too.
FPS_MARGIN = 1.2
# A config is tried if its predicted frame rate is at least this fraction of the target.
PREDICTION_TOLERANCE = 0.85


@dataclass(frozen=True)
class TrialConfig:
    """Settings that trade accuracy for speed.

    Args:
        size: the longer side of the network input, in pixels; None for the default.
        proposals: maximum number of RPN proposals; None for the default.
        batch: frames per call of the model.
        cost: estimated time of the model relative to the first config, from pixels and proposals.
    """

    size: int | None
    proposals: int | None
    batch: int
    cost: float

    def summary(self) -> str:
        """A line such as 'size 320, 100 proposals, batch 1'."""
        parts = [f"size {self.size}" if self.size is not None else "the given size"]
        if self.proposals is not None:
            parts.append(f"{self.proposals} proposals")
        parts.append(f"batch {self.batch}")
        return ", ".join(parts)


@dataclass(frozen=True)
class TrialResult:
    """Measurements of a config on the first frames.

    Args:
        fps: frames per second of the whole pipeline.
        model_ms: milliseconds of the model per frame.
        other_ms: milliseconds of all other stages per frame.
    """

    fps: float
    model_ms: float
    other_ms: float


@dataclass(frozen=True)
class TuningResult:
    """The config to run with.

    Args:
        config: the first that is fast enough; if none is, the fastest of those tried.
        result: its measurements.
        target_met: whether it reaches the target.
    """

    config: TrialConfig
    result: TrialResult
    target_met: bool


def trial_configs(
    long_side: int, divisor: int, proposals: int | None, batches: Sequence[int] = (1,)
) -> list[TrialConfig]:
    """The configs to try, the most accurate first.

    Args:
        long_side: the longer side of the network input in the checkpoint's config, in pixels.
        divisor: sizes are multiples of it.
        proposals: number of proposals in the config; None for a single-stage detector.
        batches: batch sizes, all of which are tried at one input size before the next.
    """
    reduced = None if proposals is None else min(proposals, 100)
    minimum = None if proposals is None else min(proposals, 50)
    steps = [(1.0, proposals), (1.0, reduced), (0.8, reduced), (0.65, reduced), (0.5, reduced),
             (0.4, minimum)]
    configs: list[TrialConfig] = []
    for factor, num_proposals in steps:
        side = max(divisor, round(long_side * factor / divisor) * divisor)
        # Half of a two-stage detector's time depends on the pixels, half on the proposals.
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
    """The first of ``configs`` that exceeds ``target`` frames per second by 20 %.

    Args:
        configs: at least one, the most accurate first.
        target: frames per second, above 0.
        trial: measures a config.

    Raises:
        ValueError: there are no configs.
    """
    best: TuningResult | None = None
    last: tuple[TrialConfig, TrialResult] | None = None
    for index, config in enumerate(configs):
        # The last config is always tried: it is the fastest.
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
    expected = (
        result.fps * (result.model_ms + result.other_ms) / max(model_ms + result.other_ms, 1e-6)
    )
    return expected < target * PREDICTION_TOLERANCE
