"""A case of an attack, its folders, and its outcome."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# Bytes over what the process had before the case began.
MEMORY_LIMIT = 1 << 30
OUTPUT_LIMIT = 200_000


@dataclass
class Outcome:
    """The outcome of a case.

    Attributes:
        seed, description: of the case.
        code: the exit code that the command line gives; None when there was none.
        line: the error message.
        trace: of an exception that the command line does not turn into a line, where it was
            raised; else empty.
        ended: 'done', 'hang', 'memory', or the name of the signal that ended the process.
        seconds: of processor time.
        memory: bytes at most over those before the case.
        changed: input files, or others outside of the output folder, that were written.
        ran: whether code of the input was run, or a program started.
        names: host names that were looked up.
        output: bytes written to stdout and stderr.
    """

    seed: int
    description: str = ""
    code: int | None = None
    line: str = ""
    trace: str = ""
    ended: str = "done"
    seconds: float = 0.0
    memory: int = 0
    changed: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    output: int = 0

    def faults(self) -> list[str]:
        """The faults of this outcome; empty for a case that worked or gave a one-line error."""
        wrong = [] if self.ended == "done" else [f"ended by {self.ended}: {self.trace}"]
        if self.ended == "done" and self.trace:
            wrong.append(f"traceback: {self.trace}")
        if self.ended == "done" and not self.trace and self.code not in (0, 1, 2):
            wrong.append(f"exit code {self.code}")
        if self.code == 2 and not self.line:
            wrong.append("exit code 2 without a line")
        wrong += [f"changed: {name}" for name in self.changed[:3]]
        wrong += [f"ran: {name}" for name in self.ran[:3]]
        wrong += [f"looked up: {name}" for name in self.names[:3]]
        if self.memory > MEMORY_LIMIT and self.ended != "memory":
            wrong.append(f"memory: {self.memory / 2**20:.0f} MiB")
        if "memory is not enough" in self.line or "out of memory" in self.line:
            wrong.append(f"memory: {self.line}")
        if self.output > OUTPUT_LIMIT:
            wrong.append(f"output: {self.output} bytes")
        return wrong


@dataclass(frozen=True)
class Case:
    """One case of an attack.

    Args:
        description: a short description.
        run: does it, given the folder to write to; returns the exit code or raises as the
            command line would see it.
    """

    description: str
    run: Callable[[Path], int]


@dataclass(frozen=True)
class CaseDirs:
    """The folders of one case.

    Attributes:
        input_dir: the input; must not change.
        outside_dir: files that the input may refer to, which must not change; with ``secret.txt``.
        out: where the case may write.
        canary: a file that only code from the input makes.
    """

    root: Path

    @property
    def input_dir(self) -> Path:
        return self.root / "given"

    @property
    def outside_dir(self) -> Path:
        return self.root / "beside"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def canary(self) -> Path:
        return self.root / "CANARY_RUN"

    def make(self) -> None:
        for folder in (self.input_dir, self.outside_dir, self.out):
            folder.mkdir(parents=True)
        (self.outside_dir / "secret.txt").write_text("secret")


def snapshot_files(dirs: CaseDirs) -> dict[str, str]:
    """The type and content of each file of the input and outside of it; links are not followed."""
    snapshot = {}
    for top in (dirs.input_dir, dirs.outside_dir):
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                relative = os.fsencode(path)[len(str(dirs.root)) + 1:]
                snapshot[relative.decode("latin-1")] = _kind(path)
    return snapshot


def _kind(path: str) -> str:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return f"link to {os.readlink(path)!r}"
    if not stat.S_ISREG(status.st_mode) or not os.access(path, os.R_OK):
        return f"mode {status.st_mode:o}"
    with open(path, "rb") as stream:
        return f"{status.st_mode:o} {hashlib.file_digest(stream, 'sha1').hexdigest()}" \
            if hasattr(hashlib, "file_digest") else hashlib.sha1(stream.read()).hexdigest()
