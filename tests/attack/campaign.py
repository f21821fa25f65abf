"""Run the cases of some seeds: ``python tests/attack/campaign.py KIND FIRST [COUNT [STEP]]``.

One line of JSON for each case on stdout. A process forks from here for each case, so that this one
loads the libraries once and has no threads of other work in it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
KINDS = ("data_sets", "checkpoints", "exports")


def campaign(kind: str, seeds: Sequence[int], folder: Path) -> Iterator[dict]:
    """The outcome of each seed, with its faults."""
    from watch import run_case

    module = importlib.import_module(kind)
    base = folder / f"base_{kind}"
    base.mkdir(exist_ok=True)
    with contextlib.redirect_stdout(sys.stderr):
        module.prepare(base, seeds)
    gc.collect()
    gc.freeze()  # else each child's collections would copy the pages of all that is loaded
    for seed in seeds:
        root = folder / f"{kind}{seed}"
        outcome = run_case(seed, lambda seed, dirs: module.build(seed, dirs, base), root)
        yield {"kind": kind, **asdict(outcome), "faults": outcome.faults()}
        if not os.environ.get("KEEP"):
            shutil.rmtree(root, ignore_errors=True)


def main(words: list[str]) -> None:
    """Any number of KIND FIRST COUNT STEP, in one process."""
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory(prefix="attack") as name:
        folder = Path(name).resolve()
        for at in range(0, len(words), 4):
            kind, *numbers = words[at:at + 4]
            first, count, step = (int(word) for word in [*numbers, "1", "1"][:3])
            for record in campaign(kind, range(first, first + count * step, step), folder):
                print(json.dumps(record), flush=True)
        if os.environ.get("KEEP"):
            shutil.copytree(folder, os.environ["KEEP"], symlinks=True, dirs_exist_ok=True)


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent / "support")]
    sys.path.append(str(HERE.parents[1]))  # behind PYTHONPATH, which may name another checkout
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1:])
