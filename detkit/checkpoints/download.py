"""Weights from an address: fetched once, whole, and known by the whole address."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch

from detkit.errors import WeightsError
from detkit.files import sha256_of
from detkit.version import __version__

_FOLDER = "checkpoints"
_PATIENCE_S = 60
_CHUNK = 1 << 20
_LONGEST_NAME = 150  # Of the 255 bytes that a file system takes; our own additions need some.
_LARGEST = 64 << 30  # For a stream that never ends; published weights are far smaller.
# The first digits of the content's SHA-256, as torch.hub and OpenMMLab name their files.
_DIGITS = re.compile(r"-([0-9a-f]{8,64})\.")
_DATE = re.compile(r"(19|20)\d{6}$")


def download(address: str) -> Path:
    """The file at an http(s) address, from the cache or fetched into it.

    It lies where torch.hub keeps its files, under a name that has the hash of the address in it:
    another address's file of the same name is another file. One that torch.hub itself put there
    is used where its name has the hash of its content and that is right.

    Raises:
        WeightsError: it cannot be fetched, is cut, is larger than 64 GiB, or has another content
            than its name says.
    """
    folder = Path(torch.hub.get_dir()) / _FOLDER
    name = Path(urlparse(address).path).name[-_LONGEST_NAME:] or "weights"
    digits = _digits_in(name)
    file = folder / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{name}"
    if file.is_file():
        return file
    of_hub = folder / name
    if digits and of_hub.is_file() and sha256_of(of_hub).startswith(digits):
        return of_hub
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(address, file, digits)
    # Of a network's many ways to fail, each is the same to who waits for weights.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        there = f" (if {of_hub} is that file, give this path)" if of_hub.is_file() else ""
        raise WeightsError(
            f"checkpoint '{address}' could not be downloaded ({reason})",
            do=f"download it elsewhere and give the path of the local file instead{there}",
        ) from error
    return file


def _digits_in(name: str) -> str | None:
    found = _DIGITS.findall(name)
    return found[-1] if found and not _DATE.match(found[-1]) else None


def _fetch(address: str, file: Path, digits: str | None) -> None:
    """Write the content under a passing name beside ``file``, and give it the name when whole."""
    request = Request(address, headers={"User-Agent": f"detkit/{__version__}"})
    handle, partial = tempfile.mkstemp(".partial", f".{file.name}.", file.parent)
    try:
        with os.fdopen(handle, "wb") as target, urlopen(request, timeout=_PATIENCE_S) as source:
            length = source.headers.get("Content-Length")
            digest = _copy(source, target, int(length) if length else None)
            target.flush()
            os.fsync(target.fileno())
        if digits and not digest.startswith(digits):
            raise ValueError(f"its SHA-256 begins with {digest[:len(digits)]}, and its name says "
                             f"{digits}")
        os.replace(partial, file)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _copy(source: Any, target: IO[bytes], length: int | None) -> str:
    """Copy to the end, and return the SHA-256 of what came."""
    from rich.console import Console
    from rich.progress import Progress

    if length is not None and length > min(_LARGEST, shutil.disk_usage(target.fileno()).free):
        raise ValueError(f"it has {length:,} bytes, which is more than the disk has left or than "
                         f"{_LARGEST:,}")
    digest, count = hashlib.sha256(), 0
    shown = sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=not shown, transient=True) as bar:
        task = bar.add_task("weights", total=length)
        while chunk := source.read(_CHUNK):
            count += len(chunk)
            if count > _LARGEST:
                raise ValueError(f"it has more than {_LARGEST:,} bytes")
            digest.update(chunk)
            target.write(chunk)
            bar.advance(task, len(chunk))
    if length is not None and count != length:
        raise ValueError(f"{count:,} of its {length:,} bytes came")
    return digest.hexdigest()
