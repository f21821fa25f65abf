"""Run the video pipeline on thousands of frames, and check memory, threads and frame order.

A video whose frames show their index is written, run through the pipeline with a function that
reads the index, and read back. The memory of the process is measured at each frame.

Run:     python benchmarks/video_memory.py [--frames 10000] [--size 64x224] [--workers 2]
Prints:  peak memory in MB of each thousand frames and the ratio of the last to the second, the
         number of threads before and after, whether order and count are correct, and the run's
         table. Exit code 1 if memory grows by more than 2 %, threads are left, or frames differ.
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
    """Parse the arguments, write the video and run the checks."""
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
    """Run the pipeline on ``source``; returns 0 if all checks pass, else 1."""
    memory_mb: list[float] = []
    indices: list[int] = []
    before = threading.active_count()

    def predict(images: list[NDArray[np.uint8]]) -> list[int]:
        return [number_in(image) for image in images]

    def on_frame(index: int, timestamp_s: float, frame_index: int) -> None:
        indices.append(frame_index)
        memory_mb.append(resident_bytes() / 1e6)

    report = run_video(predict, source, out, lambda image, frame_index: image,
                       workers=args.workers, batch_size=args.batch, on_frame=on_frame)
    after = threading.active_count()
    peaks_mb = [max(memory_mb[begin:begin + WINDOW]) for begin in range(0, len(memory_mb), WINDOW)]
    print("peak MB of each thousand frames:", " ".join(f"{peak:.1f}" for peak in peaks_mb))
    ratio = peaks_mb[-1] / peaks_mb[min(1, len(peaks_mb) - 1)]
    print(f"last thousand / second thousand: {ratio:.4f}")
    print(f"threads before {before}, after {after}")
    order = indices == list(range(args.frames)) == read_back(out)[0]
    print("order and count:", "correct" if order else "WRONG")
    print(report.table())
    return 0 if ratio <= MAX_GROWTH and before == after and order else 1


def resident_bytes() -> int:
    """Resident memory of the process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
