"""Parses the config text in a checkpoint as literals; it is never executed."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from detkit.errors import WeightsError

MAX_CHARS = 2**22  # the config of a dataset with 20,000 classes has about half a million
MAX_DEPTH = 100
MAX_BITS = 63  # of an integer
_CONSTANTS = {"inf": float("inf"), "nan": float("nan"), "True": True, "False": False, "None": None}


def parse_literals(
    text: str, origin: str = "config", names: Collection[str] | None = None
) -> dict[str, Any]:
    """Parse the assignments ``name = literal`` of a config text into a dict.

    Literals are numbers, strings, True, False, None, inf, nan, containers of literals, and
    ``dict(key=literal, ...)``, the form that mmengine writes. Docstrings are skipped.

    Args:
        text: Python source, such as ``Config.pretty_text``; '' gives {}.
        origin: what to call the text in an error.
        names: parse only the assignments to these names and skip every other statement; None
            parses all statements.

    Raises:
        WeightsError: the text is not Python, holds anything but such assignments, or exceeds a
            limit: 4 million characters, 100 levels of brackets, or 63 bits of an integer.
    """
    if len(text) > MAX_CHARS:
        raise WeightsError(f"{origin} is too long", got=f"{len(text)} characters",
                           expected=f"at most {MAX_CHARS}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in strings of someone else's config
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise WeightsError(f"{origin} is not Python source",
                           got=str(error) or type(error).__name__) from error
    parser = _LiteralParser(origin)
    result: dict[str, Any] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(
            node.targets) == 1 else None
        if isinstance(node, ast.Assign) and isinstance(target, ast.Name):
            if names is None or target.id in names:
                result[target.id] = parser.value(node.value, 0)
        elif names is None and not (isinstance(node, ast.Expr)
                                    and isinstance(node.value, ast.Constant)):
            raise parser.unsupported_error(node)
    return result


class _LiteralParser:
    """Converts syntax trees of literals to values."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def value(self, node: ast.expr, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self.unsupported_error(node, f"more than {MAX_DEPTH} levels of brackets")
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name) and node.id in _CONSTANTS:
            return _CONSTANTS[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = self.value(node.operand, depth + 1)
            if isinstance(number, (int, float)):
                return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            items = [self.value(item, depth + 1) for item in node.elts]
            if isinstance(node, ast.List):
                return items
            return tuple(items) if isinstance(node, ast.Tuple) else self._to_set(node, items)
        if isinstance(node, ast.Dict) and None not in node.keys:
            return self._dict(node, depth)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            if node.func.id == "dict":
                return self._dict_call(node, depth)
        raise self.unsupported_error(node)

    def _constant(self, node: ast.Constant) -> Any:
        value = node.value
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise self.unsupported_error(node, f"an integer of {value.bit_length()} bits")
        if value is not None and not isinstance(value, (str, int, float)):
            raise self.unsupported_error(node, f"a {type(value).__name__}")
        return value

    def _dict(self, node: ast.Dict, depth: int) -> dict[Any, Any]:
        keys = [self.value(key, depth + 1) for key in node.keys if key is not None]
        self._to_set(node, keys)
        return dict(zip(keys, (self.value(value, depth + 1) for value in node.values)))

    def _dict_call(self, node: ast.Call, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, depth + 1)
            # mmengine writes keys that are not identifiers as dict(**{'a.b': 1}).
            if keyword.arg is None and not isinstance(value, Mapping):
                raise self.unsupported_error(node, f"dict(**{type(value).__name__})")
            result.update(value if keyword.arg is None else {keyword.arg: value})
        return result

    def _to_set(self, node: ast.expr, items: Iterable[Any]) -> set[Any]:
        """The set of ``items``; also checks that dict keys are hashable."""
        try:
            return set(items)
        except TypeError as error:
            raise self.unsupported_error(node, str(error)) from error

    def unsupported_error(self, node: ast.AST, got: str | None = None) -> WeightsError:
        """The error for a node that is not a literal."""
        return WeightsError(
            f"{self._origin}, line {getattr(node, 'lineno', '?')}",
            got=got or f"the syntax {type(node).__name__}",
            expected="assignments of literals",
            hint="the config text of a checkpoint is never executed",
        )
