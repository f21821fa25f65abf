"""Checkpoint files: where the last one is, and how they are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_NUMBERED = re.compile(r"(epoch|iter)_\d+\.pth$")
_NUMBER = re.compile(r"_(\d+)\.pth$")


def checkpoints_in(folder: Path) -> list[Path]:
    """The run's numbered checkpoints in ``folder``, the latest last; empty when there are none."""
    found = [path for path in folder.glob("*.pth") if _NUMBERED.match(path.name)]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, _number(path)))


def _number(path: Path) -> int:
    match = _NUMBER.search(path.name)
    return int(match.group(1)) if match else -1


def find_last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to resume from, None when ``folder`` has none.

    It is the numbered file that was written last, whatever the note ``last_checkpoint`` says: a
    run that was killed between the two leaves a note that is empty or behind. A file of another
    name, which only the note knows, is taken where there is no numbered one.
    """
    found = checkpoints_in(folder)
    note = folder / "last_checkpoint"
    if note.is_file():
        noted = Path(note.read_text().strip() or ".")
        for path in (noted, folder / noted.name):
            if path.is_file() and path not in found:
                found.insert(0, path)
    return found[-1] if found else None


def read_any_checkpoint(filename: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint file, or of one at an http(s) address, read as data.

    Raises:
        WeightsError: there is no such file, or it holds more than data.
    """
    from detkit.models.checkpoint_file import read_checkpoint

    content: dict[str, Any] = _moved(read_checkpoint(filename), map_location)
    return content


def _moved(value: Any, device: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return type(value)((key, _moved(item, device)) for key, item in value.items())
    if isinstance(value, list):
        return [_moved(item, device) for item in value]
    return value
