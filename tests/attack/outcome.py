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
        seed, what: which case it is.
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
    what: str = ""
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
        """What is wrong with this outcome; empty for a case that worked or was refused in a line.
        """
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
        if "memory is not enough" in self.line:
            wrong.append(f"memory: {self.line}")
        if self.output > OUTPUT_LIMIT:
            wrong.append(f"output: {self.output} bytes")
        return wrong


@dataclass(frozen=True)
class Case:
    """One case of an attack.

    Args:
        what: a short description.
        run: does it, given the folder to write to; returns the exit code or raises as the
            command line would see it.
    """

    what: str
    run: Callable[[Path], int]


@dataclass(frozen=True)
class CaseDirs:
    """The folders of one case.

    Attributes:
        given: the input; must not change.
        beside: what the input may point at and must not change; ``secret.txt`` is in it.
        out: where the case may write.
        canary: a file that only code from the input makes.
    """

    root: Path

    @property
    def given(self) -> Path:
        return self.root / "given"

    @property
    def beside(self) -> Path:
        return self.root / "beside"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def canary(self) -> Path:
        return self.root / "CANARY_RUN"

    def make(self) -> None:
        for folder in (self.given, self.beside, self.out):
            folder.mkdir(parents=True)
        (self.beside / "secret.txt").write_text("secret")


def snapshot_files(dirs: CaseDirs) -> dict[str, str]:
    """What each file of the input and beside it is; no link is followed."""
    found = {}
    for top in (dirs.given, dirs.beside):
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                found[os.fsencode(path)[len(str(dirs.root)) + 1:].decode("latin-1")] = _kind(path)
    return found


def _kind(path: str) -> str:
    facts = os.lstat(path)
    if stat.S_ISLNK(facts.st_mode):
        return f"link to {os.readlink(path)!r}"
    if not stat.S_ISREG(facts.st_mode) or not os.access(path, os.R_OK):
        return f"mode {facts.st_mode:o}"
    with open(path, "rb") as stream:
        return f"{facts.st_mode:o} {hashlib.file_digest(stream, 'sha1').hexdigest()}" \
            if hasattr(hashlib, "file_digest") else hashlib.sha1(stream.read()).hexdigest()
