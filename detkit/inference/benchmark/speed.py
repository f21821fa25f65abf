"""Measure the latency and the throughput of a predictor."""

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
    """Latency of single calls, in milliseconds.

    Args:
        median: of all calls.
        p95: 95th percentile.
        mean: of all calls.
    """

    median: float
    p95: float
    mean: float


def latency(predict: PredictOneFn, images: Sequence[Image], runs: int) -> Latency:
    """Time ``runs`` consecutive calls, cycling through ``images``.

    Args:
        predict: takes one (H, W, 3) uint8 RGB image.
        images: at least one.
        runs: number of timed calls, at least one, after a few warm-up calls.
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
    """Images per second with ``threads`` concurrent calls.

    Args:
        predict: as above, safe to call from several threads where ``threads`` is above 1.
        images: at least one.
        runs: number of timed images, at least one.
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
