"""The memory that is available to a process."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/")
# Reading json needs memory for the bytes, the text and the objects: about seven times the file size
# for annotations, and at least three times.
JSON_MEMORY_FACTOR = 3
UNKNOWN_BYTES = 2**40


def available_memory(root: Path = ROOT) -> int:
    """The available memory in bytes, at most the cgroup's limit; 1 TiB if unknown.

    Args:
        root: the folder with ``proc`` and ``sys``.
    """
    limits = [UNKNOWN_BYTES]
    try:
        for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError, IndexError):
        pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else -1
        if pages > 0:
            limits.append(pages * os.sysconf("SC_PAGE_SIZE"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int((root / "sys/fs/cgroup" / name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no file, or 'max' for no limit
            continue
    return min(limits)


def max_json_bytes() -> int:
    """The size in bytes of the largest json file that the memory may be enough to read."""
    return available_memory() // JSON_MEMORY_FACTOR
