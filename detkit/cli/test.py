"""Measure a checkpoint on a test split: the 12 COCO numbers and each class's AP."""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  detkit test configs/cascade_swin_nano.py work_dirs/cascade_swin_nano/best.pth --data sample
  detkit test CONFIG CHECKPOINT --data path/to/coco_or_voc --out scores.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``detkit test``."""
    from detkit.cli.flags import add_run_flags

    parser.add_argument("config", metavar="CONFIG", help="config file")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint file")
    add_run_flags(parser)
    parser.add_argument("--out", metavar="FILE", help="write the scores as json; not overwritten")


def run(args: argparse.Namespace) -> int:
    """Test, print the scores, and write them where asked."""
    from pathlib import Path

    from detkit.cli.flags import (
        is_first_process,
        parse_options,
        print_scores,
        take_local_rank,
        write_scores,
    )
    from detkit.engine.run import test
    from detkit.errors import DetkitError

    take_local_rank(args)
    out = Path(args.out) if args.out else None
    if out is not None and out.exists():
        raise DetkitError(f"{out} is there already", do="name another file with --out")
    if out is not None:
        # Before the work, which can take minutes.
        out.parent.mkdir(parents=True, exist_ok=True)
    result = test(
        args.config,
        args.checkpoint,
        data=args.data,
        work_dir=args.work_dir,
        options=parse_options(args.cfg_options),
        launcher=args.launcher,
        device=args.device,
    )
    if is_first_process():
        print_scores(result)
        if out is not None:
            write_scores(result, out)
    return 0
