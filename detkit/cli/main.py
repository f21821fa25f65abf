"""``detkit COMMAND``: find the command, parse, run, and turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import select
import sys
import traceback
from collections.abc import Sequence

from detkit.cli.args import pixel_limit
from detkit.errors import DetkitError, describe_system_failure, strip_worker_traceback
from detkit.machine.termination import (
    TerminationInterrupt,
    find_interrupt_cause,
    sigterm_as_interrupt,
)
from detkit.machine.threads import start_core_monitor, stop_core_monitor
from detkit.text import did_you_mean, printable
from detkit.trust import NO_WEIGHTS_ONLY_ENV, TRUST_NOTICE, trust_files
from detkit.version import __version__

OK, CHECK_FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

COMMANDS = {
    "train": "train a detector or a classifier from a config",
    "test": "COCO mAP, or a classifier's accuracy, of a checkpoint",
    "evaluate": "COCO mAP of a results file, without any model",
    "predict": "detect objects in images, or name the images",
    "video": "detect objects in a video, or name its frames",
    "export": "make a fast engine of a checkpoint, and prove that it finds the same",
    "benchmark": "time a checkpoint's engines, precisions and sizes, AP beside each",
    "serve": "a page in the browser for pictures, videos and the camera",
    "complexity": "count a model's parameters and FLOPs",
}


def build_parser(command: str, prog: str) -> argparse.ArgumentParser:
    """The parser of one command. Quick: no command's module imports torch before it runs."""
    module = importlib.import_module(f"detkit.cli.{command}")
    parser = argparse.ArgumentParser(
        prog=prog,
        description=module.__doc__,
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _usage() -> str:
    lines = [f"  {name:<12}{help_text}" for name, help_text in COMMANDS.items()]
    return "usage: detkit COMMAND ...\n\n" + "\n".join(
        lines) + "\n\n'detkit COMMAND --help' says more."


def run_command(command: str, argv: Sequence[str], prog: str | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 a check failed, 2 bad input or usage."""
    for stream in (sys.stdout, sys.stderr):
        # A class name that the terminal's encoding lacks is written as \u1234, not a crash.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser(command, prog or f"detkit {command}")
    try:
        args = parser.parse_args(list(argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    module = importlib.import_module(f"detkit.cli.{command}")
    trust = bool(getattr(args, "trust", False))
    if trust:
        print(TRUST_NOTICE, file=sys.stderr)
    elif os.environ.get(NO_WEIGHTS_ONLY_ENV):
        print(f"{NO_WEIGHTS_ONLY_ENV} has no effect: --trust says that files may run code",
              file=sys.stderr)
    try:
        start_core_monitor()
        try:
            limit = pixel_limit(getattr(args, "max_pixels", None))
            with trust_files(trust), limit, sigterm_as_interrupt():
                return int(module.run(args))
        finally:
            stop_core_monitor()
    except KeyboardInterrupt as stop:
        return _interrupt_exit_code(stop)
    except Exception as error:
        interrupt = find_interrupt_cause(error)
        if interrupt is not None:
            return _interrupt_exit_code(interrupt)
        if isinstance(error, DetkitError):
            return _print_error(str(error), args.debug)
        if isinstance(error, BrokenPipeError) and _is_pipe_closed():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        line = describe_system_failure(error)
        if line is None:
            raise
        return _print_error(line, args.debug)


def _is_pipe_closed() -> bool:
    """Whether stdout or stderr is a pipe whose other end is closed, as ``| head`` does."""
    if not hasattr(select, "poll"):
        return True
    for stream in (sys.stdout, sys.stderr):
        try:
            asked = select.poll()
            asked.register(stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in asked.poll(0)):
                return True
        except (OSError, ValueError):
            continue  # A stream without a file, such as an editor's.
    return False


def _interrupt_exit_code(stop: KeyboardInterrupt) -> int:
    asked = isinstance(stop, TerminationInterrupt)
    print("terminated" if asked else "interrupted", file=sys.stderr)
    return TERMINATED if asked else INTERRUPTED


def _print_error(message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {printable(strip_worker_traceback(message))}", file=sys.stderr)
    return BAD_INPUT


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``detkit``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage())
        return OK if argv else BAD_INPUT
    if argv[0] == "--version":
        print(__version__)
        return OK
    if argv[0] not in COMMANDS:
        print(f"error: no command '{argv[0]}', expected one of {', '.join(COMMANDS)}"
              f"{did_you_mean(argv[0], COMMANDS)}", file=sys.stderr)
        return BAD_INPUT
    return run_command(argv[0], argv[1:])
