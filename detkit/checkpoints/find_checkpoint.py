"""Checkpoint files: where the last one is, and how they are read."""

from __future__ import annotations

import logging
import os
import re
import zipfile
from pathlib import Path

from detkit.checkpoints.file_structure import verify_checksums
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import WeightsError

logger = logging.getLogger(__name__)
_MAX_RECORD_BYTES = 1 << 16
_NUMBERED = re.compile(r"(epoch|iter)_\d+\.pth$")
_NUMBER = re.compile(r"_(\d+)\.pth$")


def list_checkpoints(folder: Path) -> list[Path]:
    """The run's numbered checkpoints in ``folder``, the latest last; empty when there are none."""
    paths = [path for path in folder.glob("*.pth")
             if _NUMBERED.match(path.name) and path.is_file()]
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, _checkpoint_number(path)))


def _checkpoint_number(path: Path) -> int:
    match = _NUMBER.search(path.name)
    return int(match.group(1)) if match else -1


def find_latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to resume from, None when ``folder`` has none.

    It is the numbered file that was written last, whatever the note ``last_checkpoint`` says: a
    run that was killed between the two leaves a note that is empty or behind. A file of another
    name, which only the note knows, is taken where there is no numbered one.
    """
    paths = _resume_candidates(folder)
    return paths[-1] if paths else None


def _resume_candidates(folder: Path) -> list[Path]:
    """What a run may go on from, the one to take first last."""
    paths = list_checkpoints(folder)
    recorded = _read_recorded_path(folder / "last_checkpoint")
    for path in (recorded, folder / recorded.name) if recorded else ():
        # Not path.is_file, which raises for a name that no file system takes.
        if os.path.isfile(path) and path not in paths:
            paths.insert(0, path)
    return paths


def _read_recorded_path(record_file: Path) -> Path | None:
    """What mmengine's note of the last checkpoint names; None where it names nothing."""
    if not record_file.is_file():
        return None
    with open(record_file, "rb") as stream:
        content = stream.read(_MAX_RECORD_BYTES)
    try:
        return Path(content.decode().strip() or ".")
    except UnicodeDecodeError:
        logger.warning("%s is no note of a run: it is not read", record_file)
        return None


def find_latest_valid_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in ``folder`` that can be read, None when there is none at all.

    A disk that was full, or a machine that lost its power, may leave a newest one that is
    damaged; the run then goes on from the one before, and a warning names both.

    Raises:
        WeightsError: every checkpoint is damaged; the message names the newest.
    """
    damaged: list[tuple[Path, WeightsError]] = []
    for path in reversed(_resume_candidates(folder)):
        try:
            check_intact(path)
        except WeightsError as error:
            damaged.append((path, error))
            continue
        for other, cause in damaged:
            logger.warning("%s cannot be used and is passed over (%s): the training goes on from "
                           "%s, the next one that is whole", other, cause.message, path)
        if not is_inside(path, folder):
            logger.warning("%s names a checkpoint outside of the folder, %s: the training goes on "
                           "from it", folder / "last_checkpoint", path)
        return path
    if not damaged:
        return None
    path, cause = damaged[0]
    raise WeightsError(
        f"{path} cannot be resumed: {cause.message}",
        got=f"{len(damaged)} checkpoints, all of them damaged" if len(damaged) > 1 else None,
        hint="there is no other to go on from: train anew with another --work-dir",
    )


def is_inside(path: Path, folder: Path) -> bool:
    """Whether the file that ``path`` leads to lies in ``folder``."""
    # Not Path.resolve, which raises for a link that leads to itself.
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(folder)


def find_fallback_checkpoint(damaged: Path) -> Path | None:
    """The newest readable checkpoint beside one that is not; None when there is none."""
    for path in reversed(_resume_candidates(damaged.parent)):
        if os.path.realpath(path) != os.path.realpath(damaged):
            try:
                check_intact(path)
            except WeightsError:
                continue
            return path
    return None


def check_intact(checkpoint: Path) -> None:
    """Read a checkpoint to its last byte.

    Raises:
        WeightsError: it cannot be read, or its content is not what was written.
    """
    load_checkpoint(checkpoint)  # First: what would unpack to too much is refused here.
    try:
        verify_checksums(checkpoint)
    except (zipfile.BadZipFile, OSError) as error:
        raise WeightsError(f"checkpoint '{checkpoint}' is damaged ({error})") from error
