"""Export a detector's checkpoint to an inference engine and check its accuracy.

The AP of the checkpoint and that of the engine are measured on the same images and printed. The
engine is kept only if the AP drop is within --max-ap-drop; else the exit code is 1.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.cli.args import add_max_pixels, add_trust_flag
from detkit.cli.engine_args import add_max_proposals, size
from detkit.cli.inference_args import add_device, positive_int

if TYPE_CHECKING:
    from detkit.inference.export.manifest import Manifest

EXAMPLES = """examples:
  detkit export best.pth --out engine
  detkit export best.pth --out engine8 --precision int8 --data path/to/coco_or_voc
  detkit export best.pth --out engine --format onnx --size 256x320 --size 320x256 --data sample
"""
CHECK_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit export``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path,
                        help="checkpoint of a detector")
    add_trust_flag(parser)
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True,
                        help="output folder, created once the engine is measured")
    parser.add_argument("--format", choices=("openvino", "onnx", "torch"), default="openvino",
                        help="format of the graph (default: %(default)s)")
    parser.add_argument("--precision", choices=("f32", "bf16", "int8"), default="f32",
                        help="numeric precision; int8 needs openvino, bf16 a processor with bf16 "
                        "instructions (default: %(default)s)")
    parser.add_argument("--size", type=size, action="append", metavar="HxW", default=[],
                        help="height and width of the network input in pixels, as 256x320; "
                        "repeatable, for images of several aspect ratios; one number is the longer "
                        "side, with the aspect ratios of the data (default: the config's test "
                        "size)")
    parser.add_argument("--data", metavar="PATH",
                        help="COCO or Pascal VOC folder to measure the AP on, or 'sample' "
                        "(default: the config's)")
    parser.add_argument("--max-ap-drop", metavar="POINTS", type=_ap_points,
                        help="maximum drop in points of 0.01 AP (default: 0.1 for f32, 0.5 for "
                        "the others)")
    add_max_proposals(parser)
    parser.add_argument("--calibration", metavar="N", type=positive_int, default=300,
                        help="number of training images to calibrate int8 with "
                        "(default: %(default)s)")
    parser.add_argument("--batch", metavar="N", type=positive_int, default=1,
                        help="images per call for the measurement; the engine supports any number "
                        "(default: %(default)s)")
    add_device(parser)
    add_max_pixels(parser)
    parser.add_argument("--force", action="store_true", help="overwrite an engine in the folder")


def _ap_points(text: str) -> float:
    """A number other than nan; a type for argparse."""
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if math.isnan(points):
        raise argparse.ArgumentTypeError(f"got '{text}', expected a number")
    return points


def run(args: argparse.Namespace) -> int:
    """Export, and print both APs."""
    import sys

    from detkit.cli.progress import progress
    from detkit.inference.export.export import ExportConfig, export

    config = ExportConfig(args.format, args.precision, tuple(args.size), args.data,
                          args.max_ap_drop, args.max_proposals, args.calibration, args.batch,
                          args.device, args.force)
    result = export(args.checkpoint, args.out, config, progress)
    print(_table(result.manifest))
    if result.folder is not None:
        print(f"\nengine: {result.folder}")
        return 0
    accuracy = result.manifest.accuracy
    assert accuracy is not None
    print(f"error: AP drop of the engine: got {accuracy.drop:.2f} points, expected at most "
          f"{accuracy.max_ap_drop:g}; the engine is not kept; increase --max-ap-drop, or choose "
          "another --precision or --size", file=sys.stderr)
    return CHECK_FAILED


def _table(manifest: Manifest) -> str:
    """A table of both APs, with the data and the input sizes."""
    accuracy = manifest.accuracy
    assert accuracy is not None
    input_sizes = ", ".join(f"{height}x{width}" for height, width in manifest.graphs)
    name = f"{manifest.format} {manifest.precision}"
    width = max(len(name), len("checkpoint"))
    return "\n".join([
        f"{'':<{width}}  {'AP':>7}",
        f"{'checkpoint':<{width}}  {accuracy.checkpoint_ap:>7.4f}",
        f"{name:<{width}}  {accuracy.engine_ap:>7.4f}",
        f"AP drop {accuracy.drop:.2f} points, maximum {accuracy.max_ap_drop:g}; "
        f"{accuracy.images} images of {accuracy.data}",
        f"input sizes {input_sizes}",
    ])
