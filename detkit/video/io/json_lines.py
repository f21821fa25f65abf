"""A JSON lines file, one record per frame, that can be read while it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detkit.errors import VideoError
from detkit.video.io.fragmented_file import FragmentedFile


class JsonLinesWriter:
    """Writes one JSON object per line.

    The file is created with the first record: a run that fails before it leaves no file.

    Args:
        path: the file; overwritten if it exists. Missing folders above it are created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FragmentedFile | None = None

    def add(self, record: dict[str, Any]) -> None:
        """Write one record; it is in the file when this returns.

        Raises:
            VideoError: the file cannot be written.
        """
        line = json.dumps(record, ensure_ascii=False) + "\n"
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = FragmentedFile(self._path)
            self._file.write(line.encode())
        except OSError as error:
            raise VideoError(f"{self._path}: cannot be written", got=error.strerror) from error

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file is not None:
            self._file.close()
