"""Imports go downwards between the rooms, and in no circle between files; read from the source."""

import ast
import graphlib
from pathlib import Path

import pytest

# Each room may import those below it; rooms on one floor do not import each other.
FLOORS = [
    {"errors", "version", "machine", "files", "text", "trust", "walk"},
    {"aliases", "ops", "structures", "checkpoints", "tables"},
    {"registry"},
    {"models", "data", "evaluation", "visualization"},
    {"config"},
    {"engine"},
    {"inference", "analysis"},
    {"video"},
    {"app"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def iter_imports(path, package):
    """(line, full dotted name) of everything of the package that a file imports."""
    for line, module, names in imported_names(path, package):
        # 'from detkit import data' names a room only together with the imported name.
        full = [f"{module}.{name}" for name in names] if module == package.name else [module]
        yield from ((line, name) for name in full or [module]
                    if name.split(".")[0] == package.name)


def imported_names(path, package):
    """(line, module, names taken from it) of each import in a file, in functions too."""
    here = path.relative_to(package.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, item.name, []) for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else ())))
            yield node.lineno, module, [item.name for item in node.names]
        elif isinstance(node, ast.Call) and _called_name(node) == "import_module" and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield node.lineno, argument.value, []


def _called_name(node):
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def find_upward_imports(package):
    """Messages for imports that do not go downwards and for rooms without a floor."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts == ("__init__",):
            continue  # public names, imported lazily
        room = parts[0]
        where = path.relative_to(package.parent)
        if room not in FLOOR_OF:
            found.append(f"{where}: the room '{room}' has no floor yet; add it to FLOORS")
            continue
        for line, name in iter_imports(path, package):
            other = (name.split(".") + [""])[1]
            if other == room or FLOOR_OF.get(other, len(FLOORS)) < FLOOR_OF[room]:
                continue
            found.append(f"{where}:{line}: {room} imports {name}")
    return found


def test_imports_go_downwards_only(repository):
    assert len(list((repository / "detkit").rglob("*.py"))) > 30
    assert not find_upward_imports(repository / "detkit")


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
def test_upward_imports_are_found(file, line, caught, tmp_path):
    path = tmp_path / "detkit" / file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert bool(find_upward_imports(Path(tmp_path) / "detkit")) == caught


def circle_of_files(package):
    """The files of a circle of imports, the first again at the end; empty where there is none.

    Imports inside functions and those for type checking count like the others.
    """
    modules = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {}
    for name, path in modules.items():
        if path == package / "__init__.py":
            continue  # public names, imported lazily
        graph[name] = {other for _, module, names in imported_names(path, package)
                       for other in [f"{module}.{item}" for item in names] + [module]
                       if other in modules and other not in (name, package.name)}
        # A package imports its files to register them; those import it by living in it.
        if path.name == "__init__.py":
            graph[name] -= {other for other in graph[name] if other.startswith(f"{name}.")}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle(repository):
    assert circle_of_files(repository / "detkit") == []


@pytest.mark.parametrize("files", [
    {"data/a.py": "from detkit.data.b import x", "data/b.py": "from detkit.data import a"},
    {"data/a.py": "def f():\n    from detkit.data import b", "data/b.py": "from .a import x"},
    {"data/a.py": "from detkit.data.b import x", "data/b.py": "import detkit.data.c",
     "data/c.py": "if TYPE_CHECKING:\n    from detkit.data.a import y"},
    {"data/__init__.py": "", "data/a.py": "from detkit.data.deep import x",
     "data/deep/__init__.py": "from detkit.data.a import y"},
], ids=["module and name", "in a function", "for types", "a package"])
def test_a_circle_is_found(files, tmp_path):
    for name, text in files.items():
        path = tmp_path / "detkit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert len(circle_of_files(tmp_path / "detkit")) > 2
