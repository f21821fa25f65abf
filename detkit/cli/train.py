"""Train a detector or a classifier, then evaluate its best checkpoint on the test split."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

EXAMPLES = """examples:
  detkit train configs/quickstart.py --data sample
  detkit train configs/cascade_efficientnet_lite0.py --data path/to/coco_or_voc --minutes 15
  detkit train configs/cascade_swin.py --data path/to/coco_or_voc --amp --resume
  detkit train configs/classify_efficientnet_lite0.py --data path/to/folder_of_class_folders
  detkit train configs/cascade_efficientnet_lite0.py --data path/to/coco_or_voc \\
      --backbone-from work_dirs/classify_efficientnet_lite0/best.pth
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit train``."""
    from detkit.cli.args import (
        add_config,
        add_run_flags,
        add_trust_flag,
        int_at_least,
        positive_int,
    )

    add_config(parser)
    add_run_flags(parser)
    add_trust_flag(parser)
    parser.add_argument(
        "--resume", nargs="?", const="auto", metavar="auto|FILE", type=_non_empty,
        help="resume from the latest checkpoint in the work dir, or from FILE",
    )
    parser.add_argument("--backbone-from", metavar="CHECKPOINT",
                        help="initialize the backbone from the checkpoint of a classifier or a "
                        "detector, or from published weights of this backbone")
    parser.add_argument("--from-scratch", action="store_true",
                        help="begin with random weights, without the published ones of the config")
    parser.add_argument("--amp", action="store_true",
                        help="mixed precision: float16 on a GPU, bfloat16 on a CPU")
    parser.add_argument("--auto-scale-lr", action="store_true",
                        help="scale the learning rate with the batch size")
    parser.add_argument("--epochs", type=positive_int, metavar="N",
                        help="fit the schedule to N epochs: learning rate, warm-up, averages, "
                        "validations")
    parser.add_argument("--minutes", type=_positive, metavar="N",
                        help="fit the schedule into N minutes on this machine, test included: "
                        "steps, warm-up, averages, validations, learning rate")
    parser.add_argument("--auto-batch", action="store_true",
                        help="find the fastest batch size that fits into the memory, and scale the "
                        "learning rate to it")
    parser.add_argument("--batch-size", type=positive_int, metavar="N",
                        help="images of a training step; with --auto-scale-lr the learning rate "
                        "follows it")
    parser.add_argument("--lr", type=_positive, metavar="X", help="learning rate")
    parser.add_argument("--size", type=positive_int, metavar="N",
                        help="pixels of the images: the longer side, for a classifier the side of "
                        "the crop; all sizes of the pipelines are scaled to it")
    parser.add_argument("--workers", type=int_at_least(0), metavar="N",
                        help="data loading processes of each dataloader; 0 loads in the main one")
    parser.add_argument("--patience", type=positive_int, metavar="N",
                        help="stop after N validations without a better score")
    parser.add_argument("--freeze", type=int_at_least(-1), metavar="N",
                        help="do not train the backbone's stem and first N stages; 0: its stem, "
                        "-1: nothing")
    parser.add_argument("--weights", type=_non_empty, metavar="NAME|FILE",
                        help="begin with published weights of the backbone ('detkit weights' lists "
                        "them), or with a FILE of a whole model")
    parser.add_argument("--name", type=_name, metavar="NAME",
                        help="name of the run: output to work_dirs/NAME")
    parser.add_argument("--seed", type=_seed, metavar="N",
                        help="random seed, 0 to 2**32 - 1")


def _non_empty(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("got an empty string, expected auto or a file")
    return text


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"got {text}, expected 0 to {2**32 - 1}")
    return value


def _name(text: str) -> str:
    if not text or text in (".", "..") or any(sep in text for sep in "/\\"):
        raise argparse.ArgumentTypeError(f"got '{text}', expected the name of a folder; "
                                         "--work-dir takes a path")
    return text


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return value


def run(args: argparse.Namespace) -> int:
    """Train, and print the scores, then a screen with what was trained and what to do next."""
    start_time = time.monotonic()  # before torch is imported
    from detkit.cli.args import parse_options, set_local_rank_env
    from detkit.config.find_config import find_config
    from detkit.errors import ConfigError

    find_config(args.config)  # an error before libraries are imported
    if args.name is not None and args.work_dir is not None:
        raise ConfigError("--name and --work-dir both set the output folder",
                          expected="one of them")
    from detkit.config.train_overrides import TrainOverrides
    from detkit.engine.run import train

    set_local_rank_env(args)

    result = train(
        args.config,
        data=args.data,
        work_dir=args.work_dir if args.name is None else Path("work_dirs", args.name),
        options=parse_options(args.cfg_options),
        resume=True if args.resume == "auto" else args.resume or False,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        launcher=args.launcher,
        seed=args.seed,
        device=args.device,
        backbone_from=args.backbone_from,
        from_scratch=args.from_scratch,
        epochs=args.epochs,
        minutes=args.minutes,
        auto_batch=args.auto_batch,
        values=TrainOverrides(args.batch_size, args.lr, args.size, args.workers, args.patience,
                              args.freeze, args.weights),
        start_time=start_time,
    )
    from detkit.cli.args import is_main_process
    from detkit.cli.scores import print_scores
    from detkit.cli.train_summary import print_summary

    if not is_main_process():
        return 0
    if result.test is not None:
        print_scores(result.test)
    print_summary(result)
    if not sys.stdout.isatty():
        # For scripts; a terminal shows both in the summary.
        if result.confusion_matrix is not None:
            print(f"\nconfusion matrix: {result.confusion_matrix}")
        if result.checkpoint is not None:
            print(f"\ncheckpoint: {result.checkpoint}")
    if result.checkpoint is None:
        print(f"no checkpoint written to {result.work_dir}", file=sys.stderr)
    return 0
