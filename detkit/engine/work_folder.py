"""The folder that a run writes to, never mixed with another run's."""

from __future__ import annotations

from pathlib import Path

from detkit.engine.checkpoint_file import checkpoints_in
from detkit.errors import ConfigError


def default_work_dir(config: Path) -> Path:
    """``work_dirs/NAME`` for a config file NAME.py."""
    return Path("work_dirs") / config.stem


def refuse_another_run(folder: Path) -> None:
    """Refuse a folder that holds checkpoints already.

    Raises:
        ConfigError: it does.
    """
    found = [*checkpoints_in(folder), *sorted(folder.glob("best*.pth"))]
    if found:
        raise ConfigError(
            f"{folder} holds the checkpoints of another run",
            got=f"{found[-1].name} among {len(found)}",
            do="pass --resume to continue that run, or --work-dir with another folder",
        )
