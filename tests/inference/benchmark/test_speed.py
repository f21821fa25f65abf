"""Latency and throughput of calls that sleep for a known time."""

import threading
import time

import numpy as np
import pytest

from detkit.inference.benchmark.speed import latency, throughput

IMAGES = [np.zeros((2, 2, 3), np.uint8), np.ones((2, 2, 3), np.uint8)]


def test_latency_is_per_call_after_warm_up():
    calls = []

    def predict(image):
        calls.append(image)
        time.sleep(0.2 if len(calls) <= 3 else 0.002)

    timing = latency(predict, IMAGES, runs=10)
    assert len(calls) == 13
    assert 2 <= timing.median <= timing.p95 < 200
    assert timing.median < 100 and timing.mean < 150


def test_latency_cycles_through_images():
    order = []
    latency(lambda image: order.append(int(image[0, 0, 0])), IMAGES, runs=4)
    assert order[3:] == [0, 1, 0, 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_throughput_runs_given_number_of_threads(threads):
    lock, running, max_running = threading.Lock(), [0], [0]

    def predict(image):
        with lock:
            running[0] += 1
            max_running[0] = max(max_running[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1

    fps = throughput(predict, IMAGES, runs=12, threads=threads)
    assert max_running[0] == threads
    # A sleep is never shorter than requested.
    assert 0 < fps <= threads * 100


def test_prediction_error_is_raised():
    def predict(image):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        throughput(predict, IMAGES, runs=2, threads=2)
