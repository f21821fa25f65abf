"""How long a look takes, one picture after another, and how many a second when cores are shared."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
PredictOneFn = Callable[[Image], Any]
WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """DurationHistogram of single calls.

    Args:
        median: half of the calls took at most so long.
        p95: 95 of 100 calls did.
        mean: of all.
    """

    median: float
    p95: float
    mean: float


def latency(predict: PredictOneFn, images: Sequence[Image], runs: int) -> Latency:
    """Time ``runs`` calls, one after the other, over ``images`` in turn.

    Args:
        predict: takes one (H, W, 3) uint8 RGB image.
        images: at least one.
        runs: at least one; some more to warm up come before.
    """
    for iteration in range(WARM_UP):
        predict(images[iteration % len(images)])
    durations = []
    for iteration in range(runs):
        start = time.perf_counter()
        predict(images[iteration % len(images)])
        durations.append((time.perf_counter() - start) * 1000)
    return Latency(float(np.median(durations)), float(np.percentile(durations, 95)),
                   float(np.mean(durations)))


def throughput(predict: PredictOneFn, images: Sequence[Image], runs: int, threads: int) -> float:
    """Pictures a second with ``threads`` calls at once.

    Args:
        predict: as above, safe to call from several threads where ``threads`` is above 1.
        images: at least one.
        runs: pictures that are timed; at least one.
        threads: at least 1.
    """
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(WARM_UP):
            list(
                pool.map(predict,
                         [images[iteration % len(images)] for iteration in range(threads)]))
        start = time.perf_counter()
        list(pool.map(predict, [images[iteration % len(images)] for iteration in range(runs)]))
        return runs / (time.perf_counter() - start)
