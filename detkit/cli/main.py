"""``detkit VERB``: find the verb, parse, run, and turn errors into one line and an exit code."""

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
from detkit.errors import DetkitError, machine_failure, without_worker_traceback
from detkit.machine.termination import Terminated, interrupt_behind, termination_as_interrupt
from detkit.machine.threads import unwatch_cores, watch_cores
from detkit.text import printable
from detkit.trust import NOT_DATA_ONLY, NOTICE, trusting_files
from detkit.version import __version__

OK, CHECK_FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

VERBS = {
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


def build_parser(verb: str, prog: str) -> argparse.ArgumentParser:
    """The parser of one verb. Quick: no verb's module imports torch before it runs."""
    module = importlib.import_module(f"detkit.cli.{verb}")
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
    lines = [f"  {name:<12}{what}" for name, what in VERBS.items()]
    return "usage: detkit VERB ...\n\n" + "\n".join(lines) + "\n\n'detkit VERB --help' says more."


def run_verb(verb: str, argv: Sequence[str], prog: str | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 1 a check failed, 2 bad input or usage."""
    for stream in (sys.stdout, sys.stderr):
        # A class name that the terminal's encoding lacks is written as \u1234, not a crash.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser(verb, prog or f"detkit {verb}")
    try:
        args = parser.parse_args(list(argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    module = importlib.import_module(f"detkit.cli.{verb}")
    trust = bool(getattr(args, "trust", False))
    if trust:
        print(NOTICE, file=sys.stderr)
    elif os.environ.get(NOT_DATA_ONLY):
        print(f"{NOT_DATA_ONLY} has no effect: --trust says that files may run code",
              file=sys.stderr)
    try:
        watch_cores()
        try:
            limit = pixel_limit(getattr(args, "max_pixels", None))
            with trusting_files(trust), limit, termination_as_interrupt():
                return int(module.run(args))
        finally:
            unwatch_cores()
    except KeyboardInterrupt as stop:
        return _ended(stop)
    except Exception as error:
        hidden = interrupt_behind(error)
        if hidden is not None:
            return _ended(hidden)
        if isinstance(error, DetkitError):
            return _report(str(error), args.debug)
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        line = machine_failure(error)
        if line is None:
            raise
        return _report(line, args.debug)


def _reader_is_gone() -> bool:
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


def _ended(stop: KeyboardInterrupt) -> int:
    asked = isinstance(stop, Terminated)
    print("terminated" if asked else "interrupted", file=sys.stderr)
    return TERMINATED if asked else INTERRUPTED


def _report(message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {printable(without_worker_traceback(message))}", file=sys.stderr)
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
    if argv[0] not in VERBS:
        import difflib

        near = difflib.get_close_matches(argv[0], VERBS, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        print(f"error: no verb '{argv[0]}', expected one of {', '.join(VERBS)}{hint}",
              file=sys.stderr)
        return BAD_INPUT
    return run_verb(argv[0], argv[1:])
