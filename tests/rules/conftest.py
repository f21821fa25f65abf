"""What the house's rules are held against."""

import os
from pathlib import Path

import pytest

# Made by tools or by runs, or put there by whoever works in the checkout.
EXCLUDED = {".git", ".venv", "venv", "work_dirs", "build", "dist", "data", ".idea", ".vscode"}
GENERATED_SUFFIXES = ("_cache", "__pycache__", ".egg-info")


@pytest.fixture(scope="session")
def repository_files(repository):
    """Every file of this checkout that a person put there, in order."""
    files_found = []
    for folder, inside, files in os.walk(repository):
        here = Path(folder)
        inside[:] = [
            name for name in inside
            if not (name.endswith(GENERATED_SUFFIXES) or (here == repository and name in EXCLUDED))
        ]
        # A linked worktree has a file .git that names its repository.
        files_found += [here / name for name in files if here != repository or name not in EXCLUDED]
    return sorted(files_found)
