"""What the house's rules are held against."""

import os
from pathlib import Path

import pytest

# Made by tools or by runs, or put there by whoever works in the checkout.
NOT_OURS = {".git", ".venv", "venv", "work_dirs", "build", "dist", "data", ".idea", ".vscode"}
MADE = ("_cache", "__pycache__", ".egg-info")


@pytest.fixture(scope="session")
def our_files(repository):
    """Every file of this checkout that a person put there, in order."""
    found = []
    for folder, inside, files in os.walk(repository):
        here = Path(folder)
        inside[:] = [name for name in inside
                     if not (name.endswith(MADE) or (here == repository and name in NOT_OURS))]
        # A linked worktree has a file .git that names its repository.
        found += [here / name for name in files if here != repository or name not in NOT_OURS]
    return sorted(found)
