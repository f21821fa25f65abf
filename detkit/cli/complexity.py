"""Count the parameters and FLOPs of a config's model, by part. Needs no data and no weights."""

from __future__ import annotations

import argparse
import re

EXAMPLES = """examples:
  detkit complexity configs/cascade_swin.py --size 800x1280
  detkit complexity configs/quickstart.py --out quickstart_cost.json
  detkit complexity configs/classify_swin.py
"""
MAX_SIDE = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``detkit complexity``."""
    parser.add_argument("config", metavar="CONFIG", help="config file")
    parser.add_argument("--size", type=_size, metavar="HxW",
                        help="height and width in pixels, as 800x1280, or one number for both; "
                        "what the config tests at if left out")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", default=[],
                        help="values over the config's, as model.backbone.arch=small")
    parser.add_argument("--out", metavar="FILE", help="write the counts as json; not overwritten")


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"got '{text}', expected HxW, as 800x1280, or one number")
    height, width = int(found[1]), int(found[2] or found[1])
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise argparse.ArgumentTypeError(f"got '{text}', expected sides from 1 to {MAX_SIDE}")
    return height, width


def run(args: argparse.Namespace) -> int:
    """Count, print the table, and write the numbers where asked."""
    import json
    from pathlib import Path

    from detkit.cli.args import parse_options
    from detkit.errors import DetkitError

    out = Path(args.out) if args.out else None
    if out is not None and out.exists():
        raise DetkitError(f"{out} is there already", hint="name another file with --out")
    from detkit.analysis.complexity.complexity_table import format_complexity_table
    from detkit.analysis.complexity.model_complexity import get_model_complexity

    found = get_model_complexity(args.config, size=args.size,
                                 options=parse_options(args.cfg_options))
    print(format_complexity_table(found, str(args.config)))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        # 'x' fails on a file that came while we counted.
        with out.open("x", encoding="utf-8") as stream:
            stream.write(json.dumps({"config": str(args.config), **found.as_dict()}, indent=2))
            stream.write("\n")
    return 0
