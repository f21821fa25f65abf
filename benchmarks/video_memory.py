"""Thousands of frames in a row: flat memory, no thread left, no frame out of order.

A video whose frames carry their number is made, sent through the pipeline with a look that reads
the number, and read back. The memory that the process holds is looked up at each frame.

Run:     python benchmarks/video_memory.py [--frames 10000] [--size 64x224] [--workers 2]
Prints:  the peak of each thousand frames in MB and the last one's ratio to the second's, the
         threads before and after, whether order and count are right, and the run's table.
         Exit code 1 when a promise is broken: 2 % of memory, threads, order.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detkit.video.pipeline import run_video

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from numbered_video import number_in, read_back, write_video  # noqa: E402

WINDOW = 1000
MAX_GROWTH = 1.02


def main() -> int:
    """Make the video, run it, print, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--size", default="64x224", help="HxW; 14 blocks of 16 pixels hold 10,000")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        source = write_video(Path(folder) / "in.mp4", args.frames, (height, width),
                             audio=("aac", 48000))
        return run(source, Path(folder) / "out.mp4", args)


def run(source: Path, out: Path, args: argparse.Namespace) -> int:
    """One run over ``source``; 0 when every promise is kept."""
    memory_mb: list[float] = []
    numbers: list[int] = []
    before = threading.active_count()

    def predict(images: list[NDArray[np.uint8]]) -> list[int]:
        return [number_in(image) for image in images]

    def on_frame(index: int, timestamp_s: float, frame_number: int) -> None:
        numbers.append(frame_number)
        memory_mb.append(resident_bytes() / 1e6)

    report = run_video(predict, source, out, lambda image, frame_number: image,
                       workers=args.workers, batch_size=args.batch, on_frame=on_frame)
    after = threading.active_count()
    peaks_mb = [max(memory_mb[begin:begin + WINDOW]) for begin in range(0, len(memory_mb), WINDOW)]
    print("peak MB of each thousand frames:", " ".join(f"{peak:.1f}" for peak in peaks_mb))
    ratio = peaks_mb[-1] / peaks_mb[min(1, len(peaks_mb) - 1)]
    print(f"last thousand by the second: {ratio:.4f}")
    print(f"threads before {before}, after {after}")
    order = numbers == list(range(args.frames)) == read_back(out)[0]
    print("order and count:", "right" if order else "WRONG")
    print(report.table())
    return 0 if ratio <= MAX_GROWTH and before == after and order else 1


def resident_bytes() -> int:
    """What the process holds in memory now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
