"""The process of one case: set up the audit, build the case, and run it."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from outcome import Case, CaseDirs, Outcome, snapshot_files

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink",
            "os.truncate", "os.chmod", "os.chown"}
_STARTS = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn"}


def run_in_child(seed: int, build: Callable[[int, CaseDirs], Case], dirs: CaseDirs) -> None:
    """Never returns."""
    code = 70
    try:
        _set_up_child(dirs)
        outcome = Outcome(seed)
        case = build(seed, dirs)
        outcome.description = case.description
        events: list[tuple[str, str]] = []
        start_state = {"seed": seed, "description": case.description,
                       "tree": snapshot_files(dirs), **_begin()}
        (dirs.root / "begun.partial").write_text(json.dumps(start_state))
        (dirs.root / "begun.partial").rename(dirs.root / "begun.json")
        _install_audit_hook(dirs, events)
        cpu = time.process_time()
        _run(case, dirs, outcome)
        outcome.seconds = time.process_time() - cpu
        outcome.memory = max(_status("VmHWM") - start_state["memory"], 0)
        for kind, description in list(events):
            getattr(outcome, kind).append(description)
        (dirs.root / "outcome.json").write_text(json.dumps(asdict(outcome)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(case: Case, dirs: CaseDirs, outcome: Outcome) -> None:
    """Convert errors to exit codes as ``detkit.cli.main.run_command``, for other functions, too."""
    from detkit.errors import DetkitError, describe_system_failure

    try:
        outcome.code = case.run(dirs.out)
        sys.stderr.flush()
        lines = (dirs.root / "stderr.txt").read_text(errors="replace").splitlines()
        outcome.line = next((line for line in reversed(lines) if line.startswith("error: ")), "")
    except DetkitError as error:
        outcome.code, outcome.line = 2, str(error)
    except BaseException as error:
        line = describe_system_failure(error) if isinstance(error, Exception) else None
        if line is not None:
            outcome.code, outcome.line = 2, line
        else:
            outcome.trace = raised_at(error)
            traceback.print_exc()


def raised_at(error: BaseException) -> str:
    """The error, and the innermost places in detkit and at all: the same for the same fault."""
    frames = traceback.extract_tb(error.__traceback__)
    detkit_frames = [frame for frame in frames if "/detkit/" in frame.filename]
    locations = dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
                              for frame in [*detkit_frames[-1:], *frames[-1:]])
    return f"{type(error).__name__}: {str(error)[:120]!r} at {', '.join(locations)}"


def _set_up_child(dirs: CaseDirs) -> None:
    root = dirs.root
    os.setpgid(0, 0)
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "TORCH_HOME", "MPLCONFIGDIR"):
        os.environ[name] = str(dirs.out)
    tempfile.tempdir = str(dirs.out)
    for number, name in ((1, "stdout.txt"), (2, "stderr.txt")):
        file = os.open(root / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False,
                      buffering=1)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    dump = open(root / "fault.txt", "w")
    faulthandler.enable(dump)
    faulthandler.register(signal.SIGUSR1, dump, all_threads=True)
    _set_up_child.dump = dump  # type: ignore[attr-defined]  # it must stay open
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _begin() -> dict[str, float]:
    """Forget the process's highest memory so far; processor time and memory of now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return {"cpu": time.process_time(), "memory": _status("VmRSS")}


def _install_audit_hook(dirs: CaseDirs, events: list[tuple[str, str]]) -> None:
    """Note files that are changed outside of ``out``, programs that start, and look-ups of names.
    """
    allowed = tuple(f"{dirs.root}/{name}" for name in ("out", "outcome", "stdout", "stderr"))

    def hook(event: str, args: tuple) -> None:
        if event == "open" and isinstance(args[0], (str, bytes)):
            flags = args[2] if isinstance(args[2], int) else 0
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                changes(args[0])
        elif event in _CHANGES and args[-1] in (None, -1):  # else in a folder that is open
            changes(args[0])
        elif event in _STARTS and str(dirs.root) in str(args[:2]):
            events.append(("ran", f"{event} {str(args)[:100]}"))
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect"):
            events.append(("names", f"{event} {str(args)[:100]}"))
            raise OSError("no network here")

    def changes(path: str | bytes | int | os.PathLike) -> None:
        if isinstance(path, int):
            return
        name = os.path.abspath(os.fsdecode(path))
        if not name.startswith(allowed) and not name.startswith("/dev/"):
            events.append(("changed", name))

    sys.addaudithook(hook)


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0
