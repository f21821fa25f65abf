"""Evaluate a checkpoint on the test split: COCO AP of a detector, accuracy of a classifier."""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  detkit test configs/quickstart.py work_dirs/quickstart/best.pth --data sample
  detkit test CONFIG CHECKPOINT --data path/to/coco_or_voc --out scores.json
  detkit test CONFIG CHECKPOINT --data path/to/folder_of_class_folders
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit test``."""
    from detkit.cli.args import add_config, add_run_flags, add_trust_flag

    add_config(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint file")
    add_run_flags(parser)
    add_trust_flag(parser)
    parser.add_argument("--out", metavar="FILE",
                        help="output JSON file for the scores; a classifier's confusion matrix is "
                        "written as .png next to it; must not exist yet")


def run(args: argparse.Namespace) -> int:
    """Test, print the scores, and write them to --out."""
    from pathlib import Path

    from detkit.cli.args import is_main_process, parse_options, set_local_rank_env
    from detkit.config.find_config import find_config

    find_config(args.config)  # an error before libraries are imported
    from detkit.cli.scores import ensure_outputs_absent, print_scores, write_scores
    from detkit.engine.run import test

    set_local_rank_env(args)
    options = parse_options(args.cfg_options)
    out = Path(args.out) if args.out else None
    if out is not None:
        ensure_outputs_absent(out, args.config, options)
        out.parent.mkdir(parents=True, exist_ok=True)
    result = test(
        args.config,
        args.checkpoint,
        data=args.data,
        work_dir=args.work_dir,
        options=options,
        launcher=args.launcher,
        device=args.device,
    )
    if is_main_process():
        print_scores(result)
        if out is not None:
            write_scores(result, out)
    return 0
