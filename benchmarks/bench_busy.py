"""Training speed on shared cores: fixed numbers of threads, wait policies, and detkit's choice.

Run:     python benchmarks/bench_busy.py [--rounds 3] [--seconds 2] [--others 0 1 10]
         [--config configs/cascade_efficientnet_nano.py] [--batch 4] [--size 320] [--float32]
Prints:  the median seconds of a step on an otherwise idle machine and beside busy processes, with
         the ratio to the column's best in brackets; and the seconds of the steps after one busy
         process starts. 'detkit' is what the commands do: the number of threads is chosen at the
         start and between steps. The measurements of a column alternate between its rows.
Time:    About three minutes; about 1.5 with --rounds 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from detkit.machine.cpu_limits import num_cores
from detkit.machine.cpu_load import count_free_cores, read_cpu_times
from detkit.machine.threads import initial_num_threads, start_core_monitor, update_num_threads

CLASSES = ("a", "b", "c")
BOXES = 8
BUSY_LOOP = "while True: pass"
START = 1.5  # minimum seconds before the first step of a command, and of warm-up steps
VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
ARRIVALS = 4
Row = tuple[str, str, dict[str, str]]  # name, threads, environment


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run ``count`` busy processes, and end them afterwards."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(count)]
    try:
        time.sleep(0.3 if count else 0)
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


class Worker:
    """A process with its own environment that runs training steps on request."""

    def __init__(self, environment: dict[str, str], arguments: argparse.Namespace) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        command = [sys.executable, __file__, "--worker", "--config", arguments.config,
                   "--batch", str(arguments.batch), "--size", str(arguments.size)]
        self._process = subprocess.Popen(
            command + ["--float32"] * arguments.float32, env={**inherited, **environment},
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._read_reply()

    def steps(self, threads: str, seconds: float, min_steps: int = 1) -> list[float]:
        """Run steps for ``seconds``, at least ``min_steps``; returns the seconds of each."""
        print(json.dumps([threads, seconds, min_steps]), file=self._process.stdin, flush=True)
        return list(self._read_reply())

    def _read_reply(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit("the worker exited; see its output above")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve_steps(arguments: argparse.Namespace) -> None:
    """The loop of a `Worker` process: run the training steps that stdin requests."""
    step = training_step(arguments)
    step()
    step()
    print("[]", flush=True)
    import torch

    for line in sys.stdin:
        threads, seconds, min_steps = json.loads(line)
        if threads == "detkit":
            # As at the start of a command: one thread for imports, with the core monitor running.
            torch.set_num_threads(1)
            start_core_monitor()
            start = time.monotonic()
            while time.monotonic() - start < START:
                step()
            torch.set_num_threads(initial_num_threads(num_cores()))
            # The first steps of new threads are slower, since they allocate memory.
            start = time.monotonic()
            while time.monotonic() - start < START:
                step()
                update_num_threads()
        elif threads != "as before":
            start_core_monitor({"OMP_NUM_THREADS": threads})
            torch.set_num_threads(int(threads))
        durations: list[float] = []
        start = time.monotonic()
        while len(durations) < min_steps or time.monotonic() - start < seconds:
            now = time.perf_counter()
            step()
            update_num_threads()
            durations.append(time.perf_counter() - now)
        print(json.dumps(durations), flush=True)


def training_step(arguments: argparse.Namespace) -> Callable[[], None]:
    """A training step of the config's model, on random images with boxes and random weights."""
    import torch
    from mmdet.structures import DetDataSample
    from mmengine.registry import DefaultScope
    from mmengine.structures import InstanceData

    from detkit.config.infer.infer_fields import infer_fields
    from detkit.config.load_config import load_config
    from detkit.config.overrides import substitute_components
    from detkit.engine.optim.amp import AmpOptimWrapper, is_bf16_supported
    from detkit.registry import MODELS, import_mmdet

    import_mmdet()
    torch.manual_seed(0)
    cfg = load_config(arguments.config)
    substitute_components(cfg)
    infer_fields(cfg, CLASSES)
    with DefaultScope.overwrite_default_scope("detkit"):
        model: Any = MODELS.build(cfg.model)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    use_bf16 = is_bf16_supported("cpu") and not arguments.float32
    wrapper = AmpOptimWrapper(dtype="bfloat16" if use_bf16 else "auto", optimizer=optimizer)
    wrapper._cast = use_bf16  # 'auto' computes in bf16 wherever the processor can
    print(f"{'bf16' if use_bf16 else 'float32'}, torch {torch.__version__}", file=sys.stderr)
    shape = (arguments.size, arguments.size)
    generator = torch.Generator().manual_seed(0)
    images, samples = [], []
    for _ in range(arguments.batch):
        images.append(torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8))
        corner, side = torch.rand(2, BOXES, 2, generator=generator)
        corner, side = corner * 0.7 * arguments.size, (side * 0.25 + 0.05) * arguments.size
        sample = DetDataSample(metainfo={
            "img_shape": shape, "ori_shape": shape, "pad_shape": shape, "batch_input_shape": shape,
            "scale_factor": (1.0, 1.0), "img_id": 0})
        sample.gt_instances = InstanceData(
            bboxes=torch.cat((corner, corner + side), 1),
            labels=torch.randint(0, len(CLASSES), (BOXES,), generator=generator))
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return lambda: model.train_step({"inputs": images, "data_samples": samples}, wrapper)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/cascade_efficientnet_nano.py")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--float32", action="store_true",
                        help="train in float32 (default: bf16 if the processor supports it)")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements of each row")
    parser.add_argument("--seconds", type=float, default=2.0,
                        help="seconds of steps in each measurement")
    parser.add_argument("--others", type=int, nargs="+", default=(0, 1, 10))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve_steps(arguments)
        return
    before = read_cpu_times()
    time.sleep(1)
    after = read_cpu_times()
    if before is not None and after is not None:
        used = after.cores - count_free_cores(before, after)
        print(f"{after.cores} cores; other processes used {used:.2f} of them at the start")
    table(arguments)


def steady_median(durations: list[float]) -> float:
    """The median without the first step, which is slower after a change of the number of threads.

    With only one or two steps, as beside many busy processes, all of them count.
    """
    return statistics.median(durations[1:] if len(durations) > 2 else durations)


def table(arguments: argparse.Namespace) -> None:
    count = str(num_cores())
    passive = {"OMP_WAIT_POLICY": "passive"}
    rows: list[Row] = [(f"{count} threads", count, {}),
                       (f"{count} threads, passive", count, passive),
                       ("1 thread", "1", {}), ("detkit", "detkit", {})]
    workers = {str(environment): Worker(environment, arguments) for environment in ({}, passive)}
    try:
        columns: list[dict[str, float]] = []
        for others in arguments.others:
            durations: dict[str, list[float]] = {name: [] for name, _, _ in rows}
            for _ in range(arguments.rounds):
                for name, threads, environment in rows:
                    with busy_processes(others):
                        worker = workers[str(environment)]
                        durations[name].append(
                            steady_median(worker.steps(threads, arguments.seconds)))
            columns.append(
                {name: statistics.median(samples)
                 for name, samples in durations.items()})
        headers = "".join(f"{'idle' if not others else f'beside {others}':>16s}"
                          for others in arguments.others)
        print(f"{'seconds per step':22s}{headers}")
        for name, _, _ in rows:
            cells = "".join(f"{column[name]:9.3f} ({column[name] / min(column.values()):4.2f})"
                            for column in columns)
            print(f"{name:22s}{cells}")
        worker = workers[str({})]
        worker.steps("detkit", arguments.seconds)
        with busy_processes(1):
            arrival_steps = worker.steps("as before", 0, ARRIVALS)
        print("detkit, one starts:   " + " ".join(f"{seconds:.3f}" for seconds in arrival_steps))
    finally:
        for worker in workers.values():
            worker.close()


if __name__ == "__main__":
    main()
