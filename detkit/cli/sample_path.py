"""The word ``sample`` where a command takes images or a video: the built-in set's own."""

from __future__ import annotations

from pathlib import Path

SAMPLE = Path("sample")


def sample_path(path: Path, subpath: str) -> Path:
    """``subpath`` of the built-in sample where ``path`` is the word and no such file; else
    ``path``.

    Args:
        path: what the user gave.
        subpath: a name inside the sample's folder, as ``test`` or ``video.mp4``.
    """
    if path != SAMPLE or path.exists():
        return path
    from detkit.data.synthetic.sample import ensure_sample

    return ensure_sample() / subpath
