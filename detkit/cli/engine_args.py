"""Flags of the commands that run inference with an engine; the same on each command."""

from __future__ import annotations

import argparse
from typing import Union

from detkit.cli.inference_args import positive_int

AUTO, MMDET = "auto", "mmdet"
# Short names for the command line, and the names of the engines.
ENGINES = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch",
           "compile": "torch.compile", "tensorrt": "tensorrt"}
PRECISIONS = ("f32", "bf16", "f16", "int8")
MAX_SIDE = 10_000
Size = Union[tuple[int, int], int]


def add_engine_flags(
    parser: argparse.ArgumentParser,
    default: str | None = AUTO,
    default_text: str = "the fastest available",
) -> None:
    """Add ``--engine``, ``--precision``, ``--size`` and ``--max-proposals``."""
    parser.add_argument(
        "--engine", type=engine_choice, default=default, metavar="NAME",
        help=f"inference engine of a detector: {AUTO}, {', '.join(ENGINES)}, or {MMDET}, which "
             f"runs the model unconverted (default: {default_text})",
    )
    parser.add_argument("--precision", choices=(AUTO, *PRECISIONS), default=AUTO,
                        help="numeric precision of the engine (default: %(default)s)")
    parser.add_argument("--size", metavar="HxW", type=size,
                        help="height and width of the network input in pixels, as 256x320, or one "
                             "number for the longer side (default: the config's test size)")
    add_max_proposals(parser)


def add_max_proposals(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-proposals``."""
    parser.add_argument("--max-proposals", metavar="N", type=positive_int,
                        help="maximum number of RPN proposals passed to the RoI head; fewer are "
                             "faster (default: the config's)")


def engine_choice(text: str) -> str:
    """The engine of a short name, or 'auto' or 'mmdet'; a type for argparse."""
    if text in (AUTO, MMDET):
        return text
    return engine_name(text)


def engine_name(text: str) -> str:
    """The engine of a short name; a type for argparse."""
    if text in ENGINES.values():
        return text
    if text not in ENGINES:
        raise argparse.ArgumentTypeError(f"got '{text}', expected one of {', '.join(ENGINES)}")
    return ENGINES[text]


def size(text: str) -> Size:
    """Height and width as '256x320', or the longer side as '320'; a type for argparse."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() and 1 <= int(side) <= MAX_SIDE
                                 for side in sides):
        raise argparse.ArgumentTypeError(f"got '{text}', expected HxW, such as 256x320, or one "
                                         f"number, from 1 to {MAX_SIDE}")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))
