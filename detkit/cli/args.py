"""Flags shared by several commands, and the types and parsers of their values."""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from detkit.data.images.pixel_limit import DEFAULT_MAX_PIXELS, MAX_PIXELS_ENV, MAX_PIXELS_FLAG
from detkit.errors import ConfigError

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the positional CONFIG."""
    parser.add_argument("config", metavar="CONFIG",
                        help="config file, or a name that 'detkit configs' lists")


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the commands that run a config."""
    parser.add_argument("--data", metavar="PATH",
                        help="COCO or Pascal VOC folder; for a classifier also a folder per class "
                        "or a CSV file; or 'sample' (default: the config's)")
    parser.add_argument("--work-dir", metavar="FOLDER",
                        help="output folder (default: work_dirs/CONFIG)")
    parser.add_argument("--cfg-options", nargs="+", metavar="KEY=VALUE", default=[],
                        help="override config values, such as optim_wrapper.optimizer.lr=1e-4")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_max_pixels(parser)
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none",
                        help="job launcher; pytorch with torchrun")
    # Passed by the deprecated torch.distributed.launch; torchrun sets an environment variable.
    parser.add_argument("--local_rank", "--local-rank", type=int,
                        help=argparse.SUPPRESS)


def add_trust_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust``, for every command that reads a checkpoint."""
    parser.add_argument("--trust", action="store_true",
                        help="allow the checkpoint to run code: pickled objects, and component "
                        "types outside detkit's list; only for files from a source you trust")


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-pixels``, for every command that reads image files."""
    parser.add_argument(MAX_PIXELS_FLAG, metavar="N", type=positive_int,
                        help="maximum number of pixels of an image file, checked in its header; "
                        "decoding takes 10 to 20 bytes per pixel "
                        f"(default: {DEFAULT_MAX_PIXELS:,})")


@contextmanager
def pixel_limit(value: int | None) -> Iterator[None]:
    """Apply ``--max-pixels`` in this process and its child processes; None changes nothing."""
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
    """Set the environment variable LOCAL_RANK from ``--local_rank``, unless it is set."""
    if args.local_rank is not None:
        os.environ.setdefault("LOCAL_RANK", str(args.local_rank))


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` pairs as a dict; a value is a Python literal, or else a string.

    As in MMDetection, strings in ``a,b``, ``[a,b]``, ``(a,b)`` and in nested lists need no
    quotes. ``true``, ``false`` and ``none`` may be in lower case.

    Raises:
        ConfigError: a pair has no ``=``, or its brackets are unbalanced.
    """
    options = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError("--cfg-options", got=f"'{pair}'", expected="KEY=VALUE")
        try:
            options[key] = _parse_value(text)
        except ValueError as error:
            raise ConfigError(
                f"--cfg-options {key}", got=f"'{text}'", expected=error,
                hint="put a string that contains brackets in quotes") from None
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
    # Python reads a,b as a tuple; --cfg-options of mmengine as a list.
    return list(value) if isinstance(value, tuple) and not text.startswith("(") else value


def _parse_sequence(text: str) -> Any:
    """Parse what is not a Python literal: a string, or strings in brackets or between commas."""
    parts = _split_at_commas(text) if "," in text or text[:1] in ("(", "[") else [text]
    if len(parts) > 1:
        return [_parse_value(part) for part in parts if part.strip()]
    if text[:1] in ("(", "[") and text[-1:] == BRACKETS[text[0]]:
        items = [_parse_value(part) for part in _split_at_commas(text[1:-1]) if part.strip()]
        return tuple(items) if text[0] == "(" else items
    for number_type in (int, float):  # 007, inf and nan are not literals
        try:
            return number_type(text)
        except ValueError:
            pass
    return text


def _split_at_commas(text: str) -> list[str]:
    """Split ``text`` at the commas outside brackets and quotes.

    Raises:
        ValueError: the brackets are unbalanced.
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
    """Whether this is the main process of a distributed run."""
    from mmengine.dist import is_main_process

    return bool(is_main_process())


def score(text: str) -> float:
    """A score from 0 to 1; a type for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number from 0 to 1")
    return value


def int_at_least(least: int) -> Callable[[str], int]:
    """A type for argparse: an integer of at least ``least``."""
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"got {text}, expected an integer, at least {least}")
        return value

    return parse


positive_int = int_at_least(1)
