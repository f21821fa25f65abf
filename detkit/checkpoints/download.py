"""Weights from a URL: downloaded once and cached by the complete URL."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch

from detkit.errors import WeightsError
from detkit.files import atomic_replace, compute_sha256
from detkit.version import __version__

_CACHE_FOLDER = "checkpoints"
_TIMEOUT_S = 60
_CHUNK_BYTES = 1 << 20
_MAX_NAME_LENGTH = 150  # of 255 bytes; the URL hash and the temporary suffix need some
_MAX_BYTES = 64 << 30  # stops an endless stream; published weights are far smaller
# torch.hub and OpenMMLab put the first digits of the content's SHA-256 into the file name.
_HASH_PATTERN = re.compile(r"-([0-9a-f]{8,64})\.")
_DATE_PATTERN = re.compile(r"(19|20)\d{6}$")


def download(url: str) -> Path:
    """Download the file at an http(s) URL into the cache of torch.hub, unless it is there.

    The cached name contains a hash of the URL, so that files of one name from different URLs do
    not replace each other. A file that torch.hub downloaded is used if its name contains the hash
    of its content and the hash is right.

    Returns:
        The path of the cached file.

    Raises:
        WeightsError: the download fails, is incomplete or larger than 64 GiB, or its content does
            not have the hash in its name.
    """
    cached = find_cached(url)
    if cached is not None:
        return cached
    file, hub_file = _cache_files(url)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, file, hash_prefix_in(hub_file.name))
    # A network fails in many ways; all of them are reported alike.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        hint = f" (maybe {hub_file} is that file)" if hub_file.is_file() else ""
        raise WeightsError(
            f"checkpoint '{url}' could not be downloaded ({reason})",
            hint=f"download it by other means and pass the path of the local file{hint}",
        ) from error
    return file


def find_cached(url: str) -> Path | None:
    """The file that ``download`` returns for a URL, if it is in the cache; None if not."""
    file, hub_file = _cache_files(url)
    if file.is_file():
        return file
    hash_prefix = hash_prefix_in(hub_file.name)
    if hash_prefix and hub_file.is_file() and compute_sha256(hub_file).startswith(hash_prefix):
        return hub_file
    return None


def _cache_files(url: str) -> tuple[Path, Path]:
    """The paths in the cache: of this package, and of torch.hub."""
    folder = Path(torch.hub.get_dir()) / _CACHE_FOLDER
    name = Path(urlparse(url).path).name[-_MAX_NAME_LENGTH:] or "weights"
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}", folder / name


def hash_prefix_in(name: str) -> str | None:
    """The first digits of a SHA-256 in the name or URL of a published file; None if it has none."""
    matches = _HASH_PATTERN.findall(name)
    return matches[-1] if matches and not _DATE_PATTERN.match(matches[-1]) else None


def _fetch(url: str, file: Path, hash_prefix: str | None) -> None:
    """Download ``url`` to ``file`` and compare its hash."""
    request = Request(url, headers={"User-Agent": f"detkit/{__version__}"})
    with atomic_replace(file, "wb", fsync=True) as target:
        with urlopen(request, timeout=_TIMEOUT_S) as source:
            length = source.headers.get("Content-Length")
            digest = _copy(source, target, int(length) if length else None)
        if hash_prefix and not digest.startswith(hash_prefix):
            raise ValueError(
                f"its SHA-256 begins with {digest[:len(hash_prefix)]}, but its name contains "
                f"{hash_prefix}")


def _free_bytes(file: IO[bytes]) -> int:
    """Free space on the disk of an open file; of its folder, because Windows takes no file."""
    return shutil.disk_usage(Path(file.name).parent).free


def _copy(source: Any, target: IO[bytes], length: int | None) -> str:
    """Copy the stream and return the SHA-256 of its content."""
    from rich.console import Console
    from rich.progress import Progress

    if length is not None and length > min(_MAX_BYTES, _free_bytes(target)):
        raise ValueError(f"it has {length:,} bytes, more than is free on the disk or than the "
                         f"limit of {_MAX_BYTES:,}")
    digest, count = hashlib.sha256(), 0
    show_progress = sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=not show_progress, transient=True) as bar:
        task = bar.add_task("weights", total=length)
        while chunk := source.read(_CHUNK_BYTES):
            count += len(chunk)
            if count > _MAX_BYTES:
                raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
            digest.update(chunk)
            target.write(chunk)
            bar.advance(task, len(chunk))
    if length is not None and count != length:
        raise ValueError(f"received {count:,} of {length:,} bytes")
    return digest.hexdigest()
