"""Output folders and atomic writes."""

from __future__ import annotations

from pathlib import Path

from detkit.errors import DataError
from detkit.files import atomic_replace


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
    with atomic_replace(path, errors="backslashreplace") as file:
        file.write(text)
