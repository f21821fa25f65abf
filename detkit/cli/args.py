"""Flags that more than one command has."""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from detkit.data.images.pixel_limit import DEFAULT_MAX_PIXELS, MAX_PIXELS_ENV, MAX_PIXELS_FLAG
from detkit.errors import ConfigError

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that every command with a config has."""
    parser.add_argument("--data", metavar="PATH",
                        help="COCO or Pascal VOC folder; for a classifier also a folder for each "
                        "class, or a csv; or 'sample'; the config's own if left out")
    parser.add_argument("--work-dir", metavar="FOLDER",
                        help="where to write; work_dirs/CONFIG if left out")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", default=[],
                        help="values over the config's, as optim_wrapper.optimizer.lr=1e-4")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_max_pixels(parser)
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none",
                        help="how processes were started; with torchrun: pytorch")
    # torch.distributed.launch of old passes it; torchrun says it in the environment.
    parser.add_argument("--local_rank", "--local-rank", type=int,
                        help=argparse.SUPPRESS)


def add_trust_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust``, which every command has that reads a checkpoint."""
    parser.add_argument("--trust", action="store_true",
                        help="in this run, let code in the checkpoint be executed: component "
                        "types that detkit does not vouch for, and pickled objects; only for "
                        "files whose maker you trust")


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-pixels``, for every command that reads image files."""
    parser.add_argument(MAX_PIXELS_FLAG, metavar="N", type=positive_int,
                        help="refuse image files of more pixels, by their headers; decoding takes "
                        f"10 to 20 bytes a pixel (default: {DEFAULT_MAX_PIXELS:,})")


@contextmanager
def pixel_limit(value: int | None) -> Iterator[None]:
    """Let ``--max-pixels`` hold in this process and those that it starts; None changes nothing."""
    previous = os.environ.get(MAX_PIXELS_ENV)
    if value is not None:
        os.environ[MAX_PIXELS_ENV] = str(value)
    try:
        yield
    finally:
        if value is not None:
            del os.environ[MAX_PIXELS_ENV]
            if previous is not None:
                os.environ[MAX_PIXELS_ENV] = previous


def set_local_rank_env(args: argparse.Namespace) -> None:
    """Put ``--local_rank`` where torch and mmengine look for it, if the launcher has not."""
    if args.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(args.local_rank))


def parse_options(given: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` pairs as a dict; values are Python literals, or else words.

    ``a,b``, ``[a,b]``, ``(a,b)`` and lists within lists need no quotes, as in MMDetection;
    ``true``, ``false`` and ``none`` need no capitals.

    Raises:
        ConfigError: a pair has no ``=``, or its brackets do not fit each other.
    """
    options = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError("--cfg-options", got=f"'{pair}'", expected="KEY=VALUE")
        try:
            options[key] = _parse_value(text)
        except ValueError as error:
            raise ConfigError(
                f"--cfg-options {key}", got=f"'{text}'", expected=error,
                hint="a text that holds brackets stands in quotes of its own") from None
    return options


BRACKETS, QUOTES = {"(": ")", "[": "]", "{": "}"}, ("'", '"')


def _parse_value(text: str) -> Any:
    text = text.strip()
    constants = {"true": True, "false": False, "none": None}
    if text.lower() in constants:
        return constants[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _parse_sequence(text)
    # A bare a,b is Python's tuple; mmengine's --cfg-options makes it a list.
    return list(value) if isinstance(value, tuple) and not text.startswith("(") else value


def _parse_sequence(text: str) -> Any:
    """What is no Python literal: a word, or words in brackets or between commas."""
    parts = _split_at_commas(text) if "," in text or text[:1] in ("(", "[") else [text]
    if len(parts) > 1:
        return [_parse_value(part) for part in parts if part.strip()]
    if text[:1] in ("(", "[") and text[-1:] == BRACKETS[text[0]]:
        items = [_parse_value(part) for part in _split_at_commas(text[1:-1]) if part.strip()]
        return tuple(items) if text[0] == "(" else items
    for number in (int, float):  # 007, inf and nan are no literals
        try:
            return number(text)
        except ValueError:
            pass
    return text


def _split_at_commas(text: str) -> list[str]:
    """``text`` cut at the commas that are in no bracket and no quotes.

    Raises:
        ValueError: a bracket is not closed, or not opened.
    """
    parts, open_brackets, quote = [""], [], ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in QUOTES and not parts[-1].strip(" ([{"):
            quote = char if char in text[index + 1:] else ""
        elif char in BRACKETS:
            open_brackets.append(BRACKETS[char])
        elif char in BRACKETS.values() and (not open_brackets or open_brackets.pop() != char):
            raise ValueError(f"an opening bracket for each '{char}'")
        if char == "," and not open_brackets and not quote:
            parts.append("")
        else:
            parts[-1] += char
    if open_brackets:
        raise ValueError(f"a '{open_brackets[-1]}' at its end")
    return parts


def is_main_process() -> bool:
    """Whether this process speaks for all of a distributed run."""
    from mmengine.dist import is_main_process

    return bool(is_main_process())


def score(text: str) -> float:
    """A score from 0 to 1, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number from 0 to 1")
    return value


def positive_int(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a whole number, at least 1")
    return value
