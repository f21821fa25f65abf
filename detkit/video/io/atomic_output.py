"""A result file that takes its name only when it is whole, and never another file's place."""

from __future__ import annotations

import os
from pathlib import Path

from detkit.errors import VideoError


class AtomicOutput:
    """The file that a run is to leave, and the name under which it is written until then.

    Args:
        path: the file to be; folders above it are made.
        force: whether a file that stands there may be replaced.

    Attributes:
        partial: an empty file beside it, 'clip.partial.mp4' for 'clip.mp4', to be written.

    Raises:
        VideoError: the file exists and ``force`` is off, or it cannot be made there.
    """

    def __init__(self, path: Path, force: bool = False) -> None:
        self.path = path
        self._force = force
        if path.exists() and not path.is_file():
            raise VideoError(f"{path}: is no file", expected="the name of a file to write")
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
        """Give the written file its name.

        Raises:
            VideoError: meanwhile a file of that name has come; ours keeps its partial name.
        """
        if self._force:
            os.replace(self.partial, self.path)
            return
        try:
            # Unlike a rename a link never replaces what is there.
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
        """Remove the partial file; it holds nothing of use."""
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
        f"{path}: exists, and nothing is overwritten unasked",
        hint="name another --out, or add --force",
    )
