"""Finds the checkpoint to resume from, and checks that a file is intact."""

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
    """The numbered checkpoints in ``folder``, the newest last; empty if there are none."""
    paths = [path for path in folder.glob("*.pth")
             if _NUMBERED.match(path.name) and path.is_file()]
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, _checkpoint_number(path)))


def _checkpoint_number(path: Path) -> int:
    match = _NUMBER.search(path.name)
    return int(match.group(1)) if match else -1


def find_latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to resume from; None if ``folder`` has none.

    This is the numbered file that was written last. The file ``last_checkpoint`` is used only if
    there is no numbered file: a run that was killed may leave it empty or outdated.
    """
    paths = _resume_candidates(folder)
    return paths[-1] if paths else None


def _resume_candidates(folder: Path) -> list[Path]:
    """The checkpoints that a run may resume from; the preferred one is the last."""
    paths = list_checkpoints(folder)
    recorded = _read_recorded_path(folder / "last_checkpoint")
    for path in (recorded, folder / recorded.name) if recorded else ():
        # Not path.is_file, which raises for an invalid file name.
        if os.path.isfile(path) and path not in paths:
            paths.insert(0, path)
    return paths


def _read_recorded_path(record_file: Path) -> Path | None:
    """The path in mmengine's file ``last_checkpoint``; None if it has none."""
    if not record_file.is_file():
        return None
    with open(record_file, "rb") as stream:
        content = stream.read(_MAX_RECORD_BYTES)
    try:
        return Path(content.decode().strip() or ".")
    except UnicodeDecodeError:
        logger.warning("%s is not a text file: it is ignored", record_file)
        return None


def find_latest_valid_checkpoint(folder: Path) -> Path | None:
    """The newest intact checkpoint in ``folder``; None if there are no checkpoints.

    The newest checkpoint may be damaged after a power failure. The one before it is then used,
    and a warning names both.

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
            logger.warning("%s is damaged and skipped (%s): the training resumes from %s, the "
                           "newest intact checkpoint", other, cause.message, path)
        if not is_inside(path, folder):
            logger.warning("%s names a checkpoint outside of its folder: the training resumes "
                           "from %s", folder / "last_checkpoint", path)
        return path
    if not damaged:
        return None
    path, cause = damaged[0]
    raise WeightsError(
        f"{path} cannot be resumed: {cause.message}",
        got=f"{len(damaged)} checkpoints, all of them damaged" if len(damaged) > 1 else None,
        hint="no checkpoint is intact: start a new run with another --work-dir",
    )


def is_inside(path: Path, folder: Path) -> bool:
    """Whether the file at ``path``, with links resolved, is in ``folder``."""
    # Not Path.resolve, which raises for a cyclic link.
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(folder)


def find_fallback_checkpoint(damaged: Path) -> Path | None:
    """The newest intact checkpoint in the folder of a damaged one; None if there is none."""
    for path in reversed(_resume_candidates(damaged.parent)):
        if os.path.realpath(path) != os.path.realpath(damaged):
            try:
                check_intact(path)
            except WeightsError:
                continue
            return path
    return None


def check_intact(checkpoint: Path) -> None:
    """Load a checkpoint and verify its checksums.

    Raises:
        WeightsError: the file cannot be loaded, or a checksum does not match.
    """
    load_checkpoint(checkpoint)  # first, because it rejects archives that unpack to too much
    try:
        verify_checksums(checkpoint)
    except (zipfile.BadZipFile, OSError) as error:
        raise WeightsError(f"checkpoint '{checkpoint}' is damaged ({error})") from error
