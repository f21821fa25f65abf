"""Writes ``best.pth``: the weights of a run without the state that only training needs."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from detkit.checkpoints.file_kind import PUBLISHED_NAME
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.checkpoints.nonfinite import ensure_finite_weights, select_checked_weights
from detkit.files import atomic_replace


def publish_model(checkpoint: Path, folder: Path, model: nn.Module | None = None) -> Path:
    """Write ``folder/best.pth``: the weights, config and classes of ``checkpoint``.

    The optimizer state and the weights before averaging are left out: the file is for ``test``,
    ``predict`` and ``video``, not for ``--resume``. An existing file is replaced in one step.

    Args:
        checkpoint: a checkpoint of a run; not changed.
        folder: the run's work dir.
        model: the model of the run, without a distributed wrapper; tells weights from buffers that
            may hold infinity. If None, every tensor must be finite.

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
    # In memory first: torch's writer does not report a full disk as such.
    buffer = io.BytesIO()
    torch.save(published, buffer)
    with atomic_replace(folder / PUBLISHED_NAME, "wb", fsync=True) as file:
        file.write(buffer.getbuffer())
    return folder / PUBLISHED_NAME
