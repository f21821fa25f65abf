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
LookAtOne = Callable[[Image], Any]
WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """Milliseconds of single calls.

    Args:
        median: half of the calls took at most so long.
        p95: 95 of 100 calls did.
        mean: of all.
    """

    median: float
    p95: float
    mean: float


def latency(look: LookAtOne, images: Sequence[Image], runs: int) -> Latency:
    """Time ``runs`` calls, one after the other, over ``images`` in turn.

    Args:
        look: takes one (H, W, 3) uint8 RGB image.
        images: at least one.
        runs: at least one; some more to warm up come before.
    """
    for turn in range(WARM_UP):
        look(images[turn % len(images)])
    taken = []
    for turn in range(runs):
        begun = time.perf_counter()
        look(images[turn % len(images)])
        taken.append((time.perf_counter() - begun) * 1000)
    return Latency(float(np.median(taken)), float(np.percentile(taken, 95)),
                   float(np.mean(taken)))


def throughput(look: LookAtOne, images: Sequence[Image], runs: int, threads: int) -> float:
    """Pictures a second with ``threads`` calls at once.

    Args:
        look: as above, safe to call from several threads where ``threads`` is above 1.
        images: at least one.
        runs: pictures that are timed; at least one.
        threads: at least 1.
    """
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(WARM_UP):
            list(pool.map(look, [images[turn % len(images)] for turn in range(threads)]))
        begun = time.perf_counter()
        list(pool.map(look, [images[turn % len(images)] for turn in range(runs)]))
        return runs / (time.perf_counter() - begun)
