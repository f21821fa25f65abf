"""Latency and throughput of looks whose time is known: they sleep."""

import threading
import time

import numpy as np
import pytest

from detkit.inference.benchmark.speed import latency, throughput

IMAGES = [np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)]


def test_latency_is_of_single_calls_and_not_of_the_first_ones():
    calls = []

    def look(image):
        calls.append(image)
        time.sleep(0.2 if len(calls) <= 3 else 0.002)

    took = latency(look, IMAGES, runs=10)
    assert len(calls) == 13
    assert 2 <= took.median <= took.p95 < 200
    assert took.median < 100 and took.mean < 150


def test_images_are_looked_at_in_turn():
    seen = []
    latency(lambda image: seen.append(int(image[0, 0, 0])), IMAGES, runs=4)
    assert seen[3:] == [0, 1, 0, 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_so_many_calls_go_on_at_once(threads):
    lock, now, most = threading.Lock(), [0], [0]

    def look(image):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    fps = throughput(look, IMAGES, runs=12, threads=threads)
    assert most[0] == threads
    # Sleeping is never shorter than asked.
    assert 0 < fps <= threads * 100


def test_an_error_of_a_look_is_raised():
    def look(image):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        throughput(look, IMAGES, runs=2, threads=2)
