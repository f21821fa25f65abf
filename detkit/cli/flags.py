"""Flags that more than one verb has."""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Sequence
from typing import Any

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that every verb with a config has."""
    parser.add_argument("--data", metavar="PATH",
                        help="COCO or Pascal VOC folder; for a classifier also a folder for each "
                        "class, or a csv; or 'sample'; the config's own if left out")
    parser.add_argument("--work-dir", metavar="FOLDER",
                        help="where to write; work_dirs/CONFIG if left out")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", default=[],
                        help="values over the config's, as optim_wrapper.optimizer.lr=1e-4")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none",
                        help="how processes were started; with torchrun: pytorch")
    # torch.distributed.launch of old passes it; torchrun says it in the environment.
    parser.add_argument("--local_rank", "--local-rank", type=int,
                        help=argparse.SUPPRESS)


def take_local_rank(args: argparse.Namespace) -> None:
    """Put ``--local_rank`` where torch and mmengine look for it, if the launcher has not."""
    if args.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(args.local_rank))


def parse_options(given: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` pairs as a dict; values are Python literals, or else words.

    ``a,b`` is a list, as in MMDetection; ``true``, ``false`` and ``none`` need no capitals.

    Raises:
        ConfigError: a pair has no ``=``.
    """
    from detkit.errors import ConfigError

    options = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError("--cfg-options", got=f"'{pair}'", expected="KEY=VALUE")
        options[key] = _parsed(text)
    return options


def _parsed(text: str) -> Any:
    word = {"true": True, "false": False, "none": None}
    if text.lower() in word:
        return word[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        if "," in text and not any(bracket in text for bracket in "()[]{}"):
            return [_parsed(part.strip()) for part in text.split(",") if part.strip()]
        return text
    # A bare a,b is Python's tuple; mmengine's --cfg-options makes it a list.
    return list(value) if isinstance(value, tuple) and not text.startswith("(") else value


def is_first_process() -> bool:
    """Whether this process speaks for all of a distributed run."""
    from mmengine.dist import is_main_process

    return bool(is_main_process())


def score(text: str) -> float:
    """A score from 0 to 1, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number from 0 to 1")
    return value
