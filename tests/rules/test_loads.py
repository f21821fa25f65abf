"""No file is unpickled with code: torch.load is given weights_only, pickle is not used."""

import ast

import pytest


def find_unsafe_loads(text):
    """Lines with a ``torch.load`` without weights_only, or a load of pickle."""
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = getattr(node.func.value, "id", None)
        if (owner, node.func.attr) == ("torch", "load"):
            words = {keyword.arg: keyword.value for keyword in node.keywords}
            value = words.get("weights_only")
            if value is None or isinstance(value, ast.Constant) and value.value is not True:
                yield node.lineno
        elif owner in ("pickle", "joblib", "dill") and node.func.attr in ("load", "loads"):
            yield node.lineno


def test_no_file_is_unpickled_with_code(repository):
    files = sorted((repository / "detkit").rglob("*.py"))
    assert len(files) > 100
    assert not [f"{path}:{line}" for path in files
                for line in find_unsafe_loads(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("text", "caught"), [
    ("torch.load(f, weights_only=True)", False),
    ("torch.load(f, weights_only=not trust_enabled())", False),
    ("torch.load(f)", True),
    ("torch.load(f, weights_only=False)", True),
    ("pickle.load(f)", True),
    ("json.load(f)", False),
])
def test_unsafe_loads_are_found(text, caught):
    assert bool(list(find_unsafe_loads(text))) == caught
