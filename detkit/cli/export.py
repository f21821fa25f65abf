"""Make a fast engine of a detector's checkpoint, and prove on its validation data that it is equal.

The checkpoint and the engine are measured on the same pictures and both APs are printed. An engine
that loses more than --max-ap-drop is not left, and the exit code is 1.
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
    """Add the flags of ``detkit export``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path,
                        help="a trained checkpoint of a detector")
    add_trust_flag(parser)
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True,
                        help="the folder to make; it appears when it is whole and measured")
    parser.add_argument("--format", choices=("openvino", "onnx", "torch"), default="openvino",
                        help="what the graph is written as (default: %(default)s)")
    parser.add_argument("--precision", choices=("f32", "bf16", "int8"), default="f32",
                        help="int8 is for openvino; bf16 for processors that compute in it "
                        "(default: %(default)s)")
    parser.add_argument("--size", type=size, action="append", metavar="HxW", default=[],
                        help="height and width of what the network sees, as 256x320; give it "
                        "several times for pictures of several shapes; one number is the longer "
                        "side of the pictures, and the shapes are the data's; left out: what the "
                        "checkpoint was tested at")
    parser.add_argument("--data", metavar="PATH",
                        help="COCO or Pascal VOC folder to measure on, or 'sample'; the "
                        "checkpoint's own if left out")
    parser.add_argument("--max-ap-drop", metavar="POINTS", type=_ap_points,
                        help="points of 0.01 AP that the engine may lose (default: 0.1 for f32, "
                        "0.5 for the others)")
    add_max_proposals(parser)
    parser.add_argument("--calibration", metavar="N", type=positive_int, default=300,
                        help="training pictures that int8 is fitted to (default: %(default)s)")
    parser.add_argument("--batch", metavar="N", type=positive_int, default=1,
                        help="pictures in a call while it is measured; the engine takes any "
                        "number (default: %(default)s)")
    add_device(parser)
    add_max_pixels(parser)
    parser.add_argument("--force", action="store_true", help="replace an engine in the folder")


def _ap_points(text: str) -> float:
    """A number, for argparse; nan would let no engine pass, and be told after minutes."""
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if math.isnan(points):
        raise argparse.ArgumentTypeError(f"got '{text}', expected a number")
    return points


def run(args: argparse.Namespace) -> int:
    """Export, print both APs, and say whether there is an engine."""
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
    print(f"error: the engine loses {accuracy.drop:.2f} points of AP, more than the "
          f"{accuracy.max_ap_drop:g} allowed, and is not left; allow more with --max-ap-drop, or "
          "choose another --precision or --size", file=sys.stderr)
    return CHECK_FAILED


def _table(manifest: Manifest) -> str:
    """Both APs, and what was made, for stdout."""
    accuracy = manifest.accuracy
    assert accuracy is not None
    input_sizes = ", ".join(f"{height}x{width}" for height, width in manifest.graphs)
    name = f"{manifest.format} {manifest.precision}"
    width = max(len(name), len("checkpoint"))
    return "\n".join([
        f"{'':<{width}}  {'AP':>7}",
        f"{'checkpoint':<{width}}  {accuracy.checkpoint_ap:>7.4f}",
        f"{name:<{width}}  {accuracy.engine_ap:>7.4f}",
        f"lost {accuracy.drop:.2f} points, {accuracy.max_ap_drop:g} allowed; {accuracy.images} "
        f"pictures of {accuracy.data}",
        f"sizes {input_sizes}",
    ])
