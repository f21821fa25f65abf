"""detkit's own config files: their folder, their names, and what their headers say."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from detkit.errors import ConfigError
from detkit.files import special_file_type
from detkit.text import closest_name

# A wheel has them inside of the package, a checkout beside it.
_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


@dataclass(frozen=True)
class ConfigEntry:
    """A config file that comes with detkit.

    Args:
        name: of the file, without its suffix.
        path: of the file.
        header: its docstring; that of the config which it is a short name of.
    """

    name: str
    path: Path
    header: str

    @property
    def summary(self) -> str:
        """The first line of the header."""
        return self.header.partition("\n")[0]


def configs_folder() -> Path | None:
    """The folder of detkit's config files; None if it was installed without them."""
    return next((folder for folder in _FOLDERS if (folder / "_base_").is_dir()), None)


def list_configs() -> list[ConfigEntry]:
    """The configs that have a name, by name."""
    folder = configs_folder()
    if folder is None:
        return []
    return [ConfigEntry(path.stem, path, _read_header(path))
            for path in sorted(folder.glob("*.py"))]


def find_config(text: str | Path) -> Path:
    """The file of a path, or of a name of detkit's configs.

    Args:
        text: a path, such as ``configs/quickstart.py``, or a name, such as ``quickstart``. A path
            under ``configs/`` that does not exist here is looked up among detkit's configs.

    Raises:
        ConfigError: there is no such file, and no config has that name.
    """
    path = Path(text)
    if path.is_file():
        return path
    folder = configs_folder()
    if folder is not None and not path.is_absolute() and ".." not in path.parts:
        parts = path.parts[1:] if path.parts[:1] == ("configs",) else path.parts
        found = folder.joinpath(*parts)
        for candidate in (found, found.parent / f"{found.name}.py"):
            if candidate.is_file():
                return candidate
    raise ConfigError(f"{path}: {special_file_type(path) or 'no such config file'}",
                      hint=_suggest_file(path))


def _read_header(path: Path) -> str:
    """The docstring of a config; of a short name, that of the config that it stands for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    header = ast.get_docstring(tree) or ""
    statements = [node for node in tree.body if not isinstance(node, ast.Expr)]
    if len(statements) == 1 and isinstance(statements[0], ast.Assign):
        base = ast.literal_eval(statements[0].value)
        if isinstance(base, str):
            return _read_header(path.parent / base)
    return header


def _suggest_file(path: Path) -> str | None:
    files = path.parent.glob("*.py") if path.parent.is_dir() else ()
    near = {file.stem: str(path.parent / file.name) for file in files if _looks_like_config(file)}
    shipped = {entry.name: entry.name for entry in list_configs()}
    for candidates in (near, shipped):
        suggestion = closest_name(path.stem, candidates)
        if suggestion:
            return f"did you mean '{candidates[suggestion]}'?"
    return None if path.suffix else "expected a file, or a name that 'detkit configs' lists"


def _looks_like_config(path: Path) -> bool:
    """Whether a Python file assigns what configs do; other scripts lie about too."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return bool(re.search(r"^(_base_|model|train_dataloader|train_cfg) *=", text, re.MULTILINE))
