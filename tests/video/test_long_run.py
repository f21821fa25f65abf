"""The benchmark of memory on a video of 10,000 frames."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["--batch", "4", "--workers", "3"]], ids=["single", "batch"])
def test_memory_stays_flat_threads_end_and_frames_stay_in_order(
    repository: Path, flags: list[str]
) -> None:
    done = subprocess.run([sys.executable, "benchmarks/video_memory.py", *flags], cwd=repository,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "order and count: correct" in done.stdout
    assert re.search(r"frames out +10000\n", done.stdout)


def test_short_run_of_benchmark_works(repository: Path) -> None:
    done = subprocess.run([sys.executable, "benchmarks/video_memory.py", "--frames", "50",
                           "--size", "64x160"], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
