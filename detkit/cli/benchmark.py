"""Time a checkpoint's engines: one table of engines, precisions and sizes, the AP beside each.

Latency is that of single pictures, one after the other, from the array to its detections. Frames
a second are with as many pictures at once as the engine serves well on this machine's cores. The
first line of each size is the checkpoint in mmdet's own hands, which the others are divided by. A
second table says where the milliseconds of a picture go. Without pictures to measure on there is
no AP, and spots of colour are looked at. Run it on an idle machine.
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
from detkit.cli.engine_args import size as canvas_size
from detkit.cli.inference_args import add_device, whole_number
from detkit.errors import DetkitError

if TYPE_CHECKING:
    from detkit.inference.benchmark.benchmark_result import Row
    from detkit.inference.benchmark.benchmark_target import Entry, Subject
    from detkit.inference.engine_predictor import EnginePredictor
    from detkit.inference.export.eval_split import Pictures

EXAMPLES = """examples:
  detkit benchmark work_dirs/quickstart/best.pth --data sample
  detkit benchmark work_dirs/quickstart/best.pth --data sample --size 320 --size 256 --precision f32
"""
IMAGES = 32
CALIBRATION = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``benchmark``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path,
                        help="a trained checkpoint of a detector")
    add_trust_flag(parser)
    parser.add_argument("--data", metavar="PATH",
                        help="pictures and truths to measure on: a folder, or 'sample'; the "
                             "config's own if left out and they are there")
    parser.add_argument("--split", choices=("val", "test"), default="test",
                        help="the part of the data that the AP is of (default: %(default)s)")
    parser.add_argument("--size", metavar="HxW", type=canvas_size, action="append",
                        help="of the network's input, as 256x320, or one number: the longer side "
                             "of the pictures; repeat for several (default: the checkpoint's)")
    parser.add_argument("--engine", action="append", type=engine_name, metavar="NAME",
                        help="torch, compile, openvino, onnx or tensorrt; repeat for several "
                             "(default: all that run here but compile, which takes minutes)")
    parser.add_argument("--precision", action="append", choices=PRECISIONS,
                        help="repeat for several (default: f32, bf16 where the machine computes "
                             "in it, and int8 where there is data to calibrate it with)")
    add_max_proposals(parser)
    parser.add_argument("--runs", metavar="N", type=whole_number, default=50,
                        help="pictures that are timed (default: %(default)s)")
    parser.add_argument("--no-ap", action="store_true", help="time only; no AP")
    add_device(parser)
    add_max_pixels(parser)
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the rows as json, too")
    parser.add_argument("--force", action="store_true", help="replace --out where it exists")


def run(args: argparse.Namespace) -> int:
    """Measure every entry, print the tables."""
    _check_out(args)
    if not args.checkpoint.is_file():
        raise DetkitError(f"{args.checkpoint}: no such file")

    from detkit.engine.devices import set_threads, use_device
    from detkit.inference.benchmark.benchmark_result import share_table, speed_table

    set_threads(use_device(args.device))
    # mmdet and COCO's evaluation print as they go; stdout is for results.
    with tempfile.TemporaryDirectory(prefix="detkit-") as work, redirect_stdout(sys.stderr):
        rows = _measure_all(args, Path(work))
    print(speed_table(rows))
    shares = share_table(rows)
    if shares:
        print(f"\n{shares}")
    if args.out is not None:
        from detkit.inference.output_folder import write_text

        content = {"checkpoint": str(args.checkpoint), "rows": [row.as_dict() for row in rows]}
        write_text(args.out, json.dumps(content, indent=2) + "\n")
    return 0


def _check_out(args: argparse.Namespace) -> None:
    """Refuse, before minutes are spent, what the rows cannot be written to."""
    if args.out is None:
        return
    if args.out.is_dir():
        raise DetkitError(f"{args.out}: is a folder", expected="a file for the rows")
    if args.out.exists() and not args.force:
        raise DetkitError(f"{args.out}: exists, and nothing is overwritten unasked",
                          do="name another, or add --force")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(args.out.parent, os.W_OK):
        raise DetkitError(f"{args.out.parent}: cannot be written to", do="name another --out")


def _measure_all(args: argparse.Namespace, work: Path) -> list[Row]:
    from detkit.inference.benchmark.benchmark_target import Subject
    from detkit.inference.engines.input_batch import example

    subject = Subject(args.checkpoint, args.device, args.max_proposals)
    for size in args.size or []:
        subject.check_size(size)
    validation, calibration = _pictures(args, subject, work)
    if validation is None:
        images = list(example((480, 640))[0])
    else:
        images = [picture.read() for picture in validation.spread(IMAGES)]
    subject.calibration = calibration
    rows: list[Row] = []
    for size in args.size or [None]:
        rows.append(_mmdet_row(args, subject, size, images, validation))
        for entry in _entries(args, size, bool(calibration)):
            print(f"{entry.engine} {entry.precision} ...", file=sys.stderr)
            try:
                rows.append(_row(args, subject, entry, images, validation, rows))
            except DetkitError as error:
                print(f"{entry.engine} {entry.precision} is left out: {error}", file=sys.stderr)
    return rows


def _pictures(
    args: argparse.Namespace, subject: Subject, work: Path
) -> tuple[Pictures | None, list[Any]]:
    """The pictures to measure on, and those to calibrate with; none where there is no data."""
    from detkit.inference.export.eval_split import pictures_of, take_data_of

    try:
        take_data_of(subject.cfg, args.data, work, subject.classes)
        split = args.split if subject.cfg.get(f"{args.split}_dataloader") else "val"
        validation = pictures_of(subject.cfg, split)
    except DetkitError as error:
        if args.data is not None:
            raise
        print(f"no AP: {error}", file=sys.stderr)
        return None, []
    wanted = args.precision is None or "int8" in args.precision
    try:
        calibration = [picture.read() for picture in
                       pictures_of(subject.cfg, "train").spread(CALIBRATION)] if wanted else []
    except DetkitError as error:
        print(f"no int8: {error}", file=sys.stderr)
        calibration = []
    return validation, calibration


def _entries(args: argparse.Namespace, size: Any, calibrated: bool) -> list[Entry]:
    from detkit.inference.benchmark.benchmark_target import Entry
    from detkit.inference.engines.availability import available_engines

    states = {state.name: state for state in available_engines(args.device)}
    entries = []
    for name in args.engine or [one for one in states if one != "torch.compile"]:
        state = states[name]
        if state.reason is not None:
            print(f"{name} is left out: {state.reason}", file=sys.stderr)
            continue
        for precision in args.precision or PRECISIONS:
            if precision not in state.precisions:
                if args.precision is not None:
                    print(f"{name} {precision} is left out: this machine does not compute so",
                          file=sys.stderr)
                continue
            if precision == "int8" and not (calibrated and name == "openvino"):
                continue
            entries.append(Entry(name, precision, size))
    return entries


def _mmdet_row(
    args: argparse.Namespace, subject: Subject, size: Any, images: list[Any],
    validation: Pictures | None,
) -> Row:
    from detkit.inference.benchmark.benchmark_result import MMDET, Row
    from detkit.inference.benchmark.speed import latency

    print("mmdet f32 ...", file=sys.stderr)
    look = subject.mmdet(size)
    took = latency(lambda image: look([image]), images, args.runs)
    canvas = subject.canvas(size, images[0].shape[:2])
    ap = _ap(args, look, subject, validation)
    return Row(MMDET, "f32", canvas, took.median, took.p95, 1000 / took.mean, ap, 1.0)


def _row(
    args: argparse.Namespace, subject: Subject, entry: Entry, images: list[Any],
    validation: Pictures | None, before: list[Row],
) -> Row:
    from detkit.inference.benchmark.benchmark_result import MMDET, Row
    from detkit.inference.benchmark.speed import latency, throughput
    from detkit.machine.cores import cores

    streams = cores() if entry.engine == "openvino" else 1
    with ExitStack() as stack:
        alone = _ready(stack, subject, entry, 1, images)
        took = latency(alone, images, args.runs)
        parts = alone.median_timings()
        # One at a time is timed in this thread, as mmdet's is: torch is slower in another.
        fps = 1000 / took.mean
        if streams > 1:
            shared = _ready(stack, subject, entry, streams, images)
            fps = throughput(shared, images, args.runs, streams)
        ap = _ap(args, alone, subject, validation)
    canvas = subject.canvas(entry.size, images[0].shape[:2])
    base = next((row.fps for row in reversed(before) if row.engine == MMDET), None)
    return Row(
        entry.engine, entry.precision, canvas, took.median, took.p95, fps,
        ap=ap, ratio=None if base is None else fps / base,
        pre=parts.fit if parts else None, engine_ms=parts.engine if parts else None,
        post=parts.post if parts else None, shares=subject.shares(entry, images[0]),
    )


def _ready(
    stack: ExitStack, subject: Subject, entry: Entry, streams: int, images: list[Any]
) -> EnginePredictor:
    """A predictor whose engines for these images are made, so that no timed call waits for it."""
    look = subject.predictor(entry, streams, 0.0)
    stack.callback(look.close)
    for image_hw in dict.fromkeys(image.shape[:2] for image in images):
        look.prepare(image_hw)
    return look


def _ap(
    args: argparse.Namespace, look: Any, subject: Subject, validation: Pictures | None
) -> float | None:
    if validation is None or args.no_ap:
        return None
    from detkit.cli.progress import progress
    from detkit.inference.export.accuracy_check import measure_ap

    return measure_ap(look, validation, subject.classes, progress)
