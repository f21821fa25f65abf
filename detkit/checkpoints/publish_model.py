"""``best.pth``: what a run is for, without what only the run itself needs."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.checkpoints.nonfinite import ensure_finite_weights, select_checked_weights
from detkit.files import atomic_replace

PUBLISHED_NAME = "best.pth"


def publish_model(checkpoint: Path, folder: Path, model: nn.Module | None = None) -> Path:
    """Write ``folder/best.pth``: the weights, config and classes of ``checkpoint``.

    The optimizer's state and the weights that an average was made of are left out; the file
    serves ``test``, ``predict`` and ``video``, not ``--resume``. It is replaced in one step.

    Args:
        checkpoint: a checkpoint of a run, which stays as it is.
        folder: the run's work dir.
        model: the run's, not wrapped, to tell weights from buffers that may hold infinity; where
            it is None, every tensor must be finite.

    Returns:
        The path of the file.

    Raises:
        WeightsError: ``checkpoint`` cannot be read, or its weights are not finite.
    """
    content = load_checkpoint(checkpoint)
    published = {name: content[name] for name in ("state_dict", "meta") if name in content}
    weights = {"state_dict": content.get("state_dict", {})}
    ensure_finite_weights(weights if model is None else select_checked_weights(weights, model),
                          str(checkpoint))
    # In memory first: torch's own writer does not say that a disk is full.
    buffer = io.BytesIO()
    torch.save(published, buffer)
    with atomic_replace(folder / PUBLISHED_NAME, "wb", fsync=True) as file:
        file.write(buffer.getbuffer())
    return folder / PUBLISHED_NAME
