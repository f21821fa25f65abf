"""``best.pth``: what a run is for, without what only the run itself needs."""

from __future__ import annotations

from pathlib import Path

import torch

from detkit.engine.checkpoint_file import read_any_checkpoint
from detkit.engine.checkpoint_hook import write_whole
from detkit.engine.nonfinite import ensure_finite_weights

NAME = "best.pth"


def publish(checkpoint: Path, folder: Path) -> Path:
    """Write ``folder/best.pth``: the weights, config and classes of ``checkpoint``.

    The optimizer's state and the weights that an average was made of are left out; the file
    serves ``test``, ``predict`` and ``video``, not ``--resume``. It is replaced in one step.

    Args:
        checkpoint: a checkpoint of a run, which stays as it is.
        folder: the run's work dir.

    Returns:
        The path of the file.

    Raises:
        WeightsError: ``checkpoint`` cannot be read, or its weights are not finite.
    """
    content = read_any_checkpoint(checkpoint)
    kept = {name: content[name] for name in ("state_dict", "meta") if name in content}
    ensure_finite_weights(content.get("state_dict", {}), str(checkpoint))
    target, unfinished = folder / NAME, folder / f".{NAME}.unfinished"
    torch.save(kept, unfinished)
    write_whole(unfinished, target)
    return target
