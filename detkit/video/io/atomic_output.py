"""An output file that gets its name only when it is complete, and overwrites no other file."""

from __future__ import annotations

import os
from pathlib import Path

from detkit.errors import VideoError


class AtomicOutput:
    """An output file with a temporary name until it is complete.

    Args:
        path: the output file; missing folders above it are created.
        force: whether an existing file may be overwritten.

    Attributes:
        partial: the file to write to, in the same folder: 'clip.partial.mp4' for 'clip.mp4'. It
            is created empty.

    Raises:
        VideoError: the file exists and ``force`` is off, or it cannot be created.
    """

    def __init__(self, path: Path, force: bool = False) -> None:
        self.path = path
        self._force = force
        if path.exists() and not path.is_file():
            raise VideoError(f"{path}: is not a file", expected="the name of an output file")
        if path.exists() and not force:
            raise _exists(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.partial = self._make_partial()
        except OSError as error:
            raise VideoError(
                f"{path}: cannot be written", got=error.strerror or str(error)
            ) from error

    def finish(self) -> None:
        """Rename the partial file to its final name.

        Raises:
            VideoError: a file with this name exists by now; the partial file is kept.
        """
        if self._force:
            os.replace(self.partial, self.path)
            return
        try:
            # Unlike a rename, a link never overwrites a file.
            os.link(self.partial, self.path)
        except FileExistsError:
            raise _exists(self.path) from None
        except OSError:  # a file system without links
            if self.path.exists():
                raise _exists(self.path) from None
            os.replace(self.partial, self.path)
        else:
            self.partial.unlink()

    def discard(self) -> None:
        """Remove the partial file."""
        self.partial.unlink(missing_ok=True)

    def _make_partial(self) -> Path:
        attempt = 1
        while True:
            suffix = ".partial" if attempt == 1 else f".partial-{attempt}"
            partial = self.path.with_name(f"{self.path.stem}{suffix}{self.path.suffix}")
            try:
                partial.open("xb").close()
            except FileExistsError:
                attempt += 1
            else:
                return partial


def _exists(path: Path) -> VideoError:
    return VideoError(
        f"{path}: already exists",
        hint="choose another --out, or add --force to overwrite it",
    )
