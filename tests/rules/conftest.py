"""What the house's rules are held against."""

import pytest

# Made by tools or by runs, or put there by whoever works in the checkout.
NOT_OURS = {".git", ".venv", "venv", "work_dirs", "build", "dist", "data", ".idea", ".vscode"}


@pytest.fixture(scope="session")
def our_files(repository):
    """Every file of this checkout that a person put there, in order."""
    found = []
    for path in sorted(repository.rglob("*")):
        parts = path.relative_to(repository).parts
        made = parts[0] in NOT_OURS or any(
            part.endswith(("_cache", "__pycache__", ".egg-info")) for part in parts)
        if path.is_file() and not made:
            found.append(path)
    return found
