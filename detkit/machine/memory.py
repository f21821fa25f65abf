"""How much memory a process may still take."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/")
# Reading json takes its bytes, its text and the objects made of it: about seven times its size
# of annotations, and three times is what nothing can do without.
JSON_MEMORY_FACTOR = 3
UNKNOWN_BYTES = 2**40


def available_memory(root: Path = ROOT) -> int:
    """Bytes that are free or can be freed, at most the control group's limit; a TB if unknown.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
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
        except (OSError, ValueError):  # 'max': no limit
            continue
    return min(limits)


def max_json_bytes() -> int:
    """Bytes of the largest json file whose reading the memory may be enough for."""
    return available_memory() // JSON_MEMORY_FACTOR
