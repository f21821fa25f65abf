"""The argument ``sample`` for images or a video: those of the built-in sample dataset."""

from __future__ import annotations

from pathlib import Path

SAMPLE = Path("sample")


def sample_path(path: Path, subpath: str) -> Path:
    """``subpath`` of the sample if ``path`` is 'sample' and not an existing file; else ``path``.

    Args:
        path: a path from the command line.
        subpath: a path in the folder of the sample, such as ``test`` or ``video.mp4``.
    """
    if path != SAMPLE or path.exists():
        return path
    from detkit.data.synthetic.sample import ensure_sample

    return ensure_sample() / subpath
