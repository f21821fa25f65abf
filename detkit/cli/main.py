"""``detkit COMMAND``: parse the arguments, run the command, report errors in one line."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import select
import sys
import traceback
from collections.abc import Sequence
from typing import Any

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

# Each is a module of detkit.cli with add_arguments(parser), run(args) and EXAMPLES.
COMMANDS = {
    "train": "train a detector or a classifier from a config",
    "test": "measure a checkpoint: COCO mAP, or a classifier's accuracy",
    "evaluate": "measure a COCO results file; needs no model",
    "predict": "run inference on images; save results and visualizations",
    "video": "run inference on a video or camera; track and count objects",
    "export": "export a checkpoint to an inference engine and check its AP",
    "benchmark": "measure latency, throughput and AP of inference engines",
    "serve": "web page for inference on images, videos and the camera",
    "configs": "list the configs that come with detkit",
    "weights": "list published ImageNet weights; download them ahead",
    "complexity": "count a model's parameters and FLOPs",
}

# What other tools call the commands.
_OTHER_NAMES = {
    "detect": "predict", "infer": "predict", "inference": "predict", "demo": "predict",
    "val": "test", "validate": "test", "eval": "test", "fit": "train", "track": "video",
    "count": "video", "convert": "export", "deploy": "export", "flops": "complexity",
    "speed": "benchmark", "gui": "serve", "app": "serve", "models": "weights",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``detkit``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    _replace_unencodable()
    table = "\n".join(f"  {name:<12}{summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="detkit", description="Train, test, run and export object detectors and classifiers.",
        epilog=f"commands:\n{table}\n\n'detkit COMMAND --help' describes a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=LazyParser,
                                       help="one of the commands below; its arguments follow it")
    for name in COMMANDS:
        subparsers.add_parser(name, command=name)
    if argv[:1] == ["version"]:
        argv = ["--version", *argv[1:]]
    elif argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        known = _OTHER_NAMES.get(argv[0])
        hint = f"; did you mean '{known}'?" if known else did_you_mean(argv[0], COMMANDS)
        return _print_error(f"unknown command '{argv[0]}', expected one of {', '.join(COMMANDS)}"
                            f"{hint}", debug=False)
    if not argv:
        parser.print_help()
        return BAD_INPUT
    return _parse_and_run(parser, argv)


class LazyParser(argparse.ArgumentParser):
    """Stands for the parser of a command, whose module is imported only when it is to parse."""

    def __init__(self, command: str, prog: str) -> None:
        super().__init__(prog=prog, add_help=False)
        self._command = command

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse with the command's own parser, which reports unknown flags with its own usage."""
        return build_parser(self._command, self.prog).parse_args(args, namespace), []


def build_parser(command: str, prog: str) -> argparse.ArgumentParser:
    """The parser of one command; imports its module, which imports no heavy library.

    Args:
        command: one of ``COMMANDS``.
        prog: the name of the program in the usage line.
    """
    module = importlib.import_module(f"detkit.cli.{command}")
    parser = argparse.ArgumentParser(
        prog=prog,
        description=module.__doc__,
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(command=command)
    return parser


def run_command(command: str, argv: Sequence[str], prog: str | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 a check failed, 2 bad input or usage."""
    _replace_unencodable()
    return _parse_and_run(build_parser(command, prog or f"detkit {command}"), argv)


def _parse_and_run(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
    try:
        args = parser.parse_args(list(argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    module = importlib.import_module(f"detkit.cli.{args.command}")
    trust = bool(getattr(args, "trust", False))
    if trust:
        print(TRUST_NOTICE, file=sys.stderr)
    elif os.environ.get(NO_WEIGHTS_ONLY_ENV):
        print(f"{NO_WEIGHTS_ONLY_ENV} has no effect: use --trust to let files run code",
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
            poller = select.poll()
            poller.register(stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in poller.poll(0)):
                return True
        except (OSError, ValueError):
            continue  # a stream without a file descriptor, as in an editor
    return False


def _interrupt_exit_code(stop: KeyboardInterrupt) -> int:
    terminated = isinstance(stop, TerminationInterrupt)
    print("terminated" if terminated else "interrupted", file=sys.stderr)
    return TERMINATED if terminated else INTERRUPTED


def _print_error(message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {printable(strip_worker_traceback(message))}", file=sys.stderr)
    return BAD_INPUT


def _replace_unencodable() -> None:
    """Write characters that the terminal's encoding lacks as escapes such as ``\\u1234``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
