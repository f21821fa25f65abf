"""The work dir of a run: its lock, and the checkpoint to resume from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from detkit.checkpoints.find_checkpoint import (
    check_intact,
    find_fallback_checkpoint,
    find_latest_valid_checkpoint,
    is_inside,
    list_checkpoints,
)
from detkit.engine.distributed import run_on_main_process
from detkit.engine.hooks.checkpoint_hook import remove_partial_files
from detkit.engine.run_lock import run_lock
from detkit.errors import ConfigError, WeightsError

logger = logging.getLogger(__name__)


def default_work_dir(config: Path) -> Path:
    """``work_dirs/NAME`` for a config file NAME.py."""
    return Path("work_dirs") / config.stem


@contextmanager
def lock_work_dir(folder: Path) -> Iterator[None]:
    """Lock ``folder`` for all processes of a run, and remove partial files of a killed run.

    Raises:
        ConfigError: another training uses the folder.
    """
    with ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(run_lock(folder))
            for name in remove_partial_files(folder):
                logger.info("%s: removed %s, a partial file of a killed run", folder, name)

        run_on_main_process(enter)
        yield


def checkpoint_to_resume(resume: bool | str | Path, folder: Path) -> str | None:
    """The checkpoint that a run in ``folder`` resumes from; None for a new run.

    Args:
        resume: True for the newest intact checkpoint of the folder, if there is one; the path of
            a checkpoint; or False.
        folder: the work dir.

    Raises:
        ConfigError: the folder has the checkpoints of another run.
        WeightsError: the given file, or every checkpoint of the folder, is damaged; the message
            names the newest intact one.
    """
    if resume is True:
        checkpoint = find_latest_valid_checkpoint(folder)
        if checkpoint is None:
            logger.info("no checkpoint to resume in %s: starting a new run", folder)
        return None if checkpoint is None else str(checkpoint)
    if not resume or not is_inside(Path(resume), folder):
        ensure_no_other_run(folder)
    if not resume:
        return None
    if Path(resume).is_file():
        try:
            check_intact(Path(resume))
        except WeightsError as error:
            fallback = find_fallback_checkpoint(Path(resume))
            raise WeightsError(
                error.message, got=error.got, expected=error.expected, hint=error.hint
                if fallback is None else f"the newest intact checkpoint: --resume {fallback}",
            ) from error
    return str(resume)


def ensure_no_other_run(folder: Path) -> None:
    """Check that a folder has no checkpoints.

    Raises:
        ConfigError: the folder has checkpoints.
    """
    checkpoints = [*list_checkpoints(folder), *sorted(folder.glob("best*.pth"))]
    if checkpoints:
        raise ConfigError(
            f"{folder} has the checkpoints of another run",
            got=f"{checkpoints[-1].name} among {len(checkpoints)}",
            hint="pass --resume to continue that run, or another --work-dir",
        )
