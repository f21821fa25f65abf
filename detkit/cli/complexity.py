"""Count the parameters and FLOPs of a model, by component. Needs no data and no weights."""

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
    """Add the arguments of ``detkit complexity``."""
    from detkit.cli.args import add_config

    add_config(parser)
    parser.add_argument("--size", type=_size, metavar="HxW",
                        help="height and width of the input in pixels, as 800x1280, or one number "
                        "for both (default: the config's test size)")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", default=[],
                        help="override config values, such as model.backbone.arch=small")
    parser.add_argument("--out", metavar="FILE",
                        help="output JSON file for the counts; must not exist yet")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"got '{text}', expected HxW, such as 800x1280, or one number")
    height, width = int(match[1]), int(match[2] or match[1])
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise argparse.ArgumentTypeError(f"got '{text}', expected sides from 1 to {MAX_SIDE}")
    return height, width


def run(args: argparse.Namespace) -> int:
    """Count, print the table, and write the counts to --out."""
    import json
    from pathlib import Path

    from detkit.cli.args import parse_options
    from detkit.config.find_config import find_config
    from detkit.errors import DetkitError

    find_config(args.config)  # an error before libraries are imported
    out = Path(args.out) if args.out else None
    if out is not None and out.exists():
        raise DetkitError(f"{out}: already exists", hint="choose another file with --out")
    from detkit.analysis.complexity.complexity_table import format_complexity_table
    from detkit.analysis.complexity.model_complexity import get_model_complexity

    complexity = get_model_complexity(args.config, size=args.size,
                                      options=parse_options(args.cfg_options))
    print(format_complexity_table(complexity, str(args.config)))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        # 'x' fails if the file was created during the count.
        with out.open("x", encoding="utf-8") as stream:
            content = {"config": str(args.config), **complexity.as_dict()}
            stream.write(json.dumps(content, indent=2) + "\n")
    return 0
