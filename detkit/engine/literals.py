"""The config text that a checkpoint carries, read as literals and never executed."""

from __future__ import annotations

import ast
from typing import Any

from detkit.errors import WeightsError

_NAMES = {"inf": float("inf"), "nan": float("nan"), "True": True, "False": False, "None": None}


def parse_literals(text: str, origin: str = "config") -> dict[str, Any]:
    """The assignments ``name = literal`` of ``text``, as a dict.

    Literals are numbers, strings, True, False, None, inf, nan, containers of those, and
    ``dict(key=literal, ...)``, which is what mmengine writes. A docstring is passed over.

    Args:
        text: Python source, such as ``Config.pretty_text``; '' gives {}.
        origin: what to call it in an error.

    Raises:
        WeightsError: anything else stands in it; it is not executed.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise WeightsError(f"{origin} is no Python text", got=error) from error
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)):
            raise _refusal(node, origin)
        found[node.targets[0].id] = _value(node.value, origin)
    return found


def _value(node: ast.expr | None, origin: str) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        number = _value(node.operand, origin)
        if isinstance(number, (int, float)):
            return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, ast.List):
        return [_value(item, origin) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item, origin) for item in node.elts)
    if isinstance(node, ast.Set):
        return {_value(item, origin) for item in node.elts}
    if isinstance(node, ast.Dict):
        return _dict(zip(node.keys, node.values), node, origin)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        if node.func.id == "dict":
            found: dict[Any, Any] = {}
            for keyword in node.keywords:
                value = _value(keyword.value, origin)
                # dict(**{'a.b': 1}) is how mmengine writes keys that are no names.
                found.update(value if keyword.arg is None else {keyword.arg: value})
            return found
    raise _refusal(node, origin)


def _dict(items: Any, node: ast.AST, origin: str) -> dict[Any, Any]:
    found = {}
    for key, value in items:
        if key is None:
            raise _refusal(node, origin)
        found[_value(key, origin)] = _value(value, origin)
    return found


def _refusal(node: ast.AST | None, origin: str) -> WeightsError:
    line = getattr(node, "lineno", "?")
    return WeightsError(
        f"{origin}, line {line}",
        got=f"{type(node).__name__} where a literal should be",
        expected="assignments of literals",
        do="it would have to be executed, which is never done with what a checkpoint carries",
    )
