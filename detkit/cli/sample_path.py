"""The word ``sample`` where a verb takes images or a video: the built-in set's own."""

from __future__ import annotations

from pathlib import Path

WORD = Path("sample")


def sample_path(path: Path, part: str) -> Path:
    """``part`` of the built-in sample where ``path`` is the word and no such file; else ``path``.

    Args:
        path: what the user gave.
        part: a name inside the sample's folder, as ``test`` or ``video.mp4``.
    """
    if path != WORD or path.exists():
        return path
    from detkit.data.synthetic.sample import sample_folder

    return sample_folder() / part
