"""Imports between the rooms go downwards only; read from the source, functions included."""

import ast
from pathlib import Path

import pytest

# Each room may import those below it; rooms on one floor do not import each other.
FLOORS = [
    {"errors", "version", "machine", "files", "text", "trust"},
    {"ops", "structures", "checkpoints"},
    {"registry"},
    {"models", "data", "evaluation", "visualization"},
    {"config"},
    {"engine"},
    {"inference", "analysis"},
    {"video"},
    {"app"},
    {"cli"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports_of(path, package):
    """(line, full dotted name) of everything of the package that a file imports."""
    inside = path.relative_to(package.parent).with_suffix("").parts
    here = inside[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # 'from detkit import data' names a room only together with what it takes.
            names = [f"{module}.{item.name}" if module == package.name else module
                     for item in node.names]
        elif isinstance(node, ast.Call) and _called(node) == "import_module" and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                names = [argument.value]
        for name in names:
            if name.split(".")[0] == package.name:
                yield node.lineno, name


def _called(node):
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def upward_imports(package):
    """Sentences on imports that do not go downwards, and on rooms that have no floor."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts == ("__init__",):
            continue  # the door: it hands out what users import, when they ask for it
        room = parts[0]
        where = path.relative_to(package.parent)
        if room not in FLOOR_OF:
            found.append(f"{where}: the room '{room}' has no floor yet; add it to FLOORS")
            continue
        for line, name in imports_of(path, package):
            other = (name.split(".") + [""])[1]
            if other == room or FLOOR_OF.get(other, len(FLOORS)) < FLOOR_OF[room]:
                continue
            found.append(f"{where}:{line}: {room} imports {name}")
    return found


def test_imports_go_downwards_only(repository):
    assert len(list((repository / "detkit").rglob("*.py"))) > 30
    assert not upward_imports(repository / "detkit")


@pytest.mark.parametrize(
    ("file", "line", "caught"),
    [
        ("data/a.py", "", False),
        ("data/a.py", "from detkit.errors import DataError", False),
        ("data/a.py", "from detkit.data.b import c", False),
        ("data/a.py", "from . import b", False),
        ("data/a.py", "from .b import c", False),
        ("data/a.py", "from ..errors import DataError", False),
        ("data/a.py", "import torch, json", False),
        ("data/a.py", "from detkit.models import swin", True),
        ("data/a.py", "from detkit import models", True),
        ("data/a.py", "from detkit import Predictor", True),
        ("data/a.py", "import detkit", True),
        ("data/a.py", "from ..engine import run", True),
        ("data/deep/a.py", "from ...engine import run", True),
        ("data/deep/__init__.py", "from ...engine import run", True),
        ("data/deep/__init__.py", "from ..b import c", False),
        ("data/a.py", "def f():\n    import detkit.engine.run", True),
        ("data/a.py", "import importlib\nimportlib.import_module('detkit.cli.main')", True),
        ("registry.py", "from detkit.models import swin", True),
        ("ops/a.py", "from detkit.structures import detections", True),
        ("cli/a.py", "from detkit.video import pipeline", False),
        ("attic/a.py", "", True),
    ],
)
def test_the_rule_sees_what_it_should(file, line, caught, tmp_path):
    path = tmp_path / "detkit" / file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert bool(upward_imports(Path(tmp_path) / "detkit")) == caught
