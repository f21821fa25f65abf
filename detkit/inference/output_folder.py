"""Output folders and atomic writes."""

from __future__ import annotations

import os
from pathlib import Path

from detkit.errors import DataError


def make_output_dir(out: Path, force: bool = False) -> None:
    """Create ``out`` with its parents; it must be new or empty, unless ``force``.

    Raises:
        DataError: ``out`` is a file, or a folder that is not empty.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file", expected="a folder for the results")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise DataError(
            f"{out}: the folder is not empty",
            hint="name another --out, or add --force",
        )
    out.mkdir(parents=True, exist_ok=True)


def atomic_write_text(path: Path, text: str) -> None:
    r"""Write ``text`` as UTF-8 into ``path``, atomically.

    Names of files that are not UTF-8 have surrogates, which are written as \udcxx, as in json.
    """
    atomic_replace(path, text.encode("utf-8", errors="backslashreplace"))


def atomic_replace(path: Path, content: bytes) -> None:
    """Write ``content`` into ``path``, which has its name only when it is whole."""
    # Not of the file's own name, which may be as long as a name can be.
    partial = path.with_name(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
