"""Measure latency, throughput and AP of a checkpoint's engines, precisions and input sizes.

Latency is measured on single images, one after the other, from the image array to its detections;
throughput with as many parallel calls as the engine supports on this machine. The first row of
each size is the baseline: the checkpoint in mmdet. A second table has the time of each component.
Without data there is no AP, and the images are synthetic. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.cli.args import add_max_pixels, add_trust_flag
from detkit.cli.engine_args import PRECISIONS, add_max_proposals, engine_name
from detkit.cli.engine_args import size as input_size
from detkit.cli.inference_args import add_device, positive_int
from detkit.errors import DetkitError

if TYPE_CHECKING:
    from detkit.inference.benchmark.benchmark_result import BenchmarkResult
    from detkit.inference.benchmark.benchmark_target import BenchmarkCase, BenchmarkTarget
    from detkit.inference.engine_predictor import EnginePredictor
    from detkit.inference.export.eval_split import EvalSplit

EXAMPLES = """examples:
  detkit benchmark work_dirs/quickstart/best.pth --data sample
  detkit benchmark work_dirs/quickstart/best.pth --data sample --size 320 --size 256 --precision f32
"""
NUM_IMAGES = 32
NUM_CALIBRATION_IMAGES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit benchmark``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path,
                        help="checkpoint of a detector")
    add_trust_flag(parser)
    parser.add_argument("--data", metavar="PATH",
                        help="images and annotations to measure on: a folder, or 'sample' "
                             "(default: the config's, if it exists)")
    parser.add_argument("--split", choices=("val", "test"), default="test",
                        help="the split to measure the AP on (default: %(default)s)")
    parser.add_argument("--size", metavar="HxW", type=input_size, action="append",
                        help="height and width of the network input, as 256x320, or one number "
                             "for the longer side; repeatable (default: the config's test size)")
    parser.add_argument("--engine", action="append", type=engine_name, metavar="NAME",
                        help="torch, compile, openvino, onnx or tensorrt; repeatable "
                             "(default: all available but compile, which takes minutes)")
    parser.add_argument("--precision", action="append", choices=PRECISIONS,
                        help="repeatable (default: f32; bf16 if the machine supports it; int8 "
                             "if there is data for the calibration)")
    add_max_proposals(parser)
    parser.add_argument("--runs", metavar="N", type=positive_int, default=50,
                        help="number of timed images (default: %(default)s)")
    parser.add_argument("--no-ap", action="store_true", help="do not measure the AP")
    add_device(parser)
    add_max_pixels(parser)
    parser.add_argument("--out", metavar="FILE", type=Path, help="output JSON file for the results")
    parser.add_argument("--force", action="store_true", help="overwrite the --out file")


def run(args: argparse.Namespace) -> int:
    """Run all measurements and print the tables."""
    _check_out(args)
    from detkit.checkpoints.file_kind import missing_file_error

    if not args.checkpoint.is_file():
        raise missing_file_error(args.checkpoint)
    from detkit.engine.devices import set_cpu_threads, set_device
    from detkit.inference.benchmark.benchmark_result import layer_time_table, speed_table

    set_cpu_threads(set_device(args.device))
    # mmdet and the COCO evaluation print messages; stdout is for the results.
    with tempfile.TemporaryDirectory(prefix="detkit-") as work, redirect_stdout(sys.stderr):
        rows = _measure_all(args, Path(work))
    print(speed_table(rows))
    breakdown = layer_time_table(rows)
    if breakdown:
        print(f"\n{breakdown}")
    if args.out is not None:
        from detkit.inference.output_folder import atomic_write_text

        content = {"checkpoint": str(args.checkpoint), "rows": [row.as_dict() for row in rows]}
        atomic_write_text(args.out, json.dumps(content, indent=2) + "\n")
    return 0


def _check_out(args: argparse.Namespace) -> None:
    """Check that --out can be written, before measurements that take minutes.

    Raises:
        DetkitError: it cannot.
    """
    if args.out is None:
        return
    if args.out.is_dir():
        raise DetkitError(f"{args.out}: is a folder", expected="a JSON file")
    if args.out.exists() and not args.force:
        raise DetkitError(f"{args.out}: already exists",
                          hint="choose another file, or add --force to overwrite it")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(args.out.parent, os.W_OK):
        raise DetkitError(f"{args.out.parent}: no write permission", hint="choose another --out")


def _measure_all(args: argparse.Namespace, work: Path) -> list[BenchmarkResult]:
    from detkit.inference.benchmark.benchmark_target import BenchmarkTarget
    from detkit.inference.engines.input_batch import dummy_batch

    target = BenchmarkTarget(args.checkpoint, args.device, args.max_proposals)
    for size in args.size or []:
        target.check_size(size)
    validation, calibration = _evaluation_images(args, target, work)
    if validation is None:
        images = list(dummy_batch((480, 640))[0])
    else:
        images = [record.read() for record in validation.subsample(NUM_IMAGES)]
    target.calibration = calibration
    rows: list[BenchmarkResult] = []
    for size in args.size or [None]:
        rows.append(_mmdet_row(args, target, size, images, validation))
        for case in _cases(args, size, bool(calibration)):
            print(f"{case.engine} {case.precision} ...", file=sys.stderr)
            try:
                rows.append(_row(args, target, case, images, validation, rows))
            except DetkitError as error:
                print(f"{case.engine} {case.precision}: skipped: {error}", file=sys.stderr)
    return rows


def _evaluation_images(
    args: argparse.Namespace, target: BenchmarkTarget, work: Path
) -> tuple[EvalSplit | None, list[Any]]:
    """The images to measure the AP on (None without data), and those for the calibration."""
    from detkit.inference.export.eval_split import configure_data, load_split

    try:
        configure_data(target.cfg, args.data, work, target.classes)
        split = args.split if target.cfg.get(f"{args.split}_dataloader") else "val"
        validation = load_split(target.cfg, split)
    except DetkitError as error:
        if args.data is not None:
            raise
        print(f"no AP: {error}", file=sys.stderr)
        return None, []
    needs_int8 = args.precision is None or "int8" in args.precision
    try:
        calibration = [
            record.read()
            for record in load_split(target.cfg, "train").subsample(NUM_CALIBRATION_IMAGES)
        ] if needs_int8 else []
    except DetkitError as error:
        print(f"no int8: {error}", file=sys.stderr)
        calibration = []
    return validation, calibration


def _cases(args: argparse.Namespace, size: Any, calibrated: bool) -> list[BenchmarkCase]:
    from detkit.inference.benchmark.benchmark_target import BenchmarkCase
    from detkit.inference.engines.availability import available_engines

    states = {state.name: state for state in available_engines(args.device)}
    cases = []
    for name in args.engine or [engine for engine in states if engine != "torch.compile"]:
        state = states[name]
        if state.reason is not None:
            print(f"{name}: skipped: {state.reason}", file=sys.stderr)
            continue
        for precision in args.precision or PRECISIONS:
            if precision not in state.precisions:
                if args.precision is not None:
                    print(f"{name} {precision}: skipped: not supported by this machine",
                          file=sys.stderr)
                continue
            if precision == "int8" and not (calibrated and name == "openvino"):
                continue
            cases.append(BenchmarkCase(name, precision, size))
    return cases


def _mmdet_row(
    args: argparse.Namespace, target: BenchmarkTarget, size: Any, images: list[Any],
    validation: EvalSplit | None,
) -> BenchmarkResult:
    from detkit.inference.benchmark.benchmark_result import MMDET, BenchmarkResult
    from detkit.inference.benchmark.speed import latency

    print("mmdet f32 ...", file=sys.stderr)
    predictor = target.mmdet(size)
    timing = latency(lambda image: predictor([image]), images, args.runs)
    input_hw = target.input_hw(size, images[0].shape[:2])
    ap = _measured_ap(args, predictor, target, validation)
    return BenchmarkResult(MMDET, "f32", input_hw, timing.median, timing.p95, 1000 / timing.mean,
                           ap, 1.0)


def _row(
    args: argparse.Namespace, target: BenchmarkTarget, case: BenchmarkCase, images: list[Any],
    validation: EvalSplit | None, previous_rows: list[BenchmarkResult],
) -> BenchmarkResult:
    from detkit.inference.benchmark.benchmark_result import MMDET, BenchmarkResult
    from detkit.inference.benchmark.speed import latency, throughput
    from detkit.machine.cpu_limits import num_cores

    num_streams = num_cores() if case.engine == "openvino" else 1
    with ExitStack() as stack:
        single_stream = _prepared_predictor(stack, target, case, 1, images)
        timing = latency(single_stream, images, args.runs)
        timings = single_stream.median_timings()
        # A single stream runs in this thread, as for mmdet: torch is slower in another thread.
        fps = 1000 / timing.mean
        if num_streams > 1:
            multi_stream = _prepared_predictor(stack, target, case, num_streams, images)
            fps = throughput(multi_stream, images, args.runs, num_streams)
        ap = _measured_ap(args, single_stream, target, validation)
    input_hw = target.input_hw(case.size, images[0].shape[:2])
    baseline_fps = next((row.fps for row in reversed(previous_rows) if row.engine == MMDET), None)
    return BenchmarkResult(
        case.engine, case.precision, input_hw, timing.median, timing.p95, fps,
        ap=ap, ratio=None if baseline_fps is None else fps / baseline_fps,
        pre=timings.pre if timings else None, engine_ms=timings.engine if timings else None,
        post=timings.post if timings else None, shares=target.layer_time_breakdown(case, images[0]),
    )


def _prepared_predictor(stack: ExitStack, target: BenchmarkTarget, case: BenchmarkCase,
                        num_streams: int, images: list[Any]) -> EnginePredictor:
    """A predictor whose engines for these images are built, outside the timed calls."""
    predictor = target.predictor(case, num_streams, 0.0)
    stack.callback(predictor.close)
    for original_hw in dict.fromkeys(image.shape[:2] for image in images):
        predictor.prepare(original_hw)
    return predictor


def _measured_ap(
    args: argparse.Namespace, predictor: Any, target: BenchmarkTarget, validation: EvalSplit | None
) -> float | None:
    if validation is None or args.no_ap:
        return None
    from detkit.cli.progress import progress
    from detkit.inference.export.accuracy_check import measure_ap

    return measure_ap(predictor, validation, target.classes, progress)
