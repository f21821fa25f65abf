"""Flags of the commands that look with an engine, the same words on each."""

from __future__ import annotations

import argparse
from typing import Union

from detkit.cli.inference_args import positive_int

AUTO, MMDET = "auto", "mmdet"
# The short words that people type, and the engines' names.
ENGINES = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch",
           "compile": "torch.compile", "tensorrt": "tensorrt"}
PRECISIONS = ("f32", "bf16", "f16", "int8")
MAX_SIDE = 10_000
Size = Union[tuple[int, int], int]


def add_engine_flags(
    parser: argparse.ArgumentParser,
    default: str | None = AUTO,
    default_text: str = "the fastest here",
) -> None:
    """Add ``--engine``, ``--precision``, ``--size`` and ``--max-proposals``."""
    parser.add_argument(
        "--engine", type=engine_choice, default=default, metavar="NAME",
        help=f"what runs a detector: {AUTO}, {', '.join(ENGINES)}, or {MMDET}, as it was trained "
             f"(default: {default_text})",
    )
    parser.add_argument("--precision", choices=(AUTO, *PRECISIONS), default=AUTO,
                        help="of the engine's numbers (default: %(default)s)")
    parser.add_argument("--size", metavar="HxW", type=size,
                        help="of the engine's input, in pixels, as 256x320, or one number: the "
                             "longer side of the pictures (default: as the checkpoint was tested)")
    add_max_proposals(parser)


def add_max_proposals(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-proposals``."""
    parser.add_argument("--max-proposals", metavar="N", type=positive_int,
                        help="of a two-stage detector: at most so many places are looked at "
                             "closely; fewer are quicker (default: as the config says)")


def engine_choice(text: str) -> str:
    """An engine's name for the short word, for argparse; 'auto' and 'mmdet' stay."""
    if text in (AUTO, MMDET):
        return text
    return engine_name(text)


def engine_name(text: str) -> str:
    """An engine's name for the short word, for argparse."""
    if text in ENGINES.values():
        return text
    if text not in ENGINES:
        raise argparse.ArgumentTypeError(f"got '{text}', expected one of {', '.join(ENGINES)}")
    return ENGINES[text]


def size(text: str) -> Size:
    """Height and width, for argparse: '256x320'; or '320', the longer side."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() and 1 <= int(side) <= MAX_SIDE
                                 for side in sides):
        raise argparse.ArgumentTypeError(f"got '{text}', expected HxW, as 256x320, or one number, "
                                         f"from 1 to {MAX_SIDE}")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))
