"""Fixtures of the rule tests: the files of this checkout."""

import os
from pathlib import Path

import pytest

# Created by tools or runs, or local to a working copy.
EXCLUDED = {".git", ".venv", "venv", "work_dirs", "build", "dist", "data", ".idea", ".vscode"}
GENERATED_SUFFIXES = ("_cache", "__pycache__", ".egg-info")


@pytest.fixture(scope="session")
def repository_files(repository):
    """Every file of this checkout that was written by a person, sorted."""
    paths = []
    for folder, subfolders, files in os.walk(repository):
        here = Path(folder)
        subfolders[:] = [
            name for name in subfolders
            if not (name.endswith(GENERATED_SUFFIXES) or (here == repository and name in EXCLUDED))
        ]
        # A linked worktree has a file .git that names its repository.
        paths += [here / name for name in files if here != repository or name not in EXCLUDED]
    return sorted(paths)
