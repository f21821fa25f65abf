"""What the source of a class, and of all that it calls in the same libraries, could do with a text.

Read with ``ast``: calls that execute, import, open or unpickle, and names that are looked up by a
text that is not written there.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import types
from collections.abc import Iterator
from typing import Any

LIBRARIES = ("mmdet", "mmcv", "mmengine", "detkit")
# By the last part of the called name, as ``load`` of ``torch.load``.
_REACHING = frozenset({
    "__import__", "check_call", "check_output", "compile", "create_model", "dict_from_file",
    "eval", "exec", "FileClient", "from_pretrained", "fromfile", "fromstring", "get_bytes",
    "get_file_backend", "get_local_path", "get_object_from_string", "get_text", "getoutput",
    "import_module", "import_modules_from_strings", "imread", "list_from_file", "load",
    "load_checkpoint", "load_state_dict_from_url", "load_url", "loads", "open", "Popen", "popen",
    "register_all_modules", "spawn", "system", "urlopen",
})
_REACHING_MODULES = frozenset({"fileio", "pickle", "shutil", "subprocess", "requests"})
# A method of these names is a module's or a pattern's own, not the builtin.
_BUILTIN_ONLY = frozenset({"eval", "compile"})

Finding = tuple[str, str]  # where, and what


def findings(target: Any, visited: set[Any] | None = None) -> Iterator[Finding]:
    """Of a class or function: (the qualified name of the function, the source of the call)."""
    visited = set() if visited is None else visited
    if target in visited:
        return
    visited.add(target)
    if inspect.isclass(target):
        for base in target.__mro__:
            if _is_read(base):
                for function in _functions(base):
                    yield from findings(function, visited)
    elif isinstance(target, types.FunctionType) and _is_read(target):
        tree = _tree(target)
        for node in ast.walk(tree):
            if _is_unsafe_call(node):
                yield f"{target.__module__}.{target.__qualname__}", ast.unparse(node)
            if isinstance(node, ast.Name):
                called = target.__globals__.get(node.id)
                if isinstance(called, (types.FunctionType, type)) and _is_read(called):
                    yield from findings(inspect.unwrap(called), visited)


def _is_read(item: Any) -> bool:
    return str(item.__module__).partition(".")[0] in LIBRARIES


def _functions(owner: type) -> Iterator[types.FunctionType]:
    for name, member in vars(owner).items():
        if name == "init_weights":
            continue  # never called for a file, which has all weights; see the test of it
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        elif isinstance(member, property):
            member = member.fget
        if isinstance(member, types.FunctionType):
            yield inspect.unwrap(member)


@functools.lru_cache(maxsize=None)
def _tree(function: types.FunctionType) -> ast.AST:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        # dataclass and the like write these; they have no file.
        assert "<" in function.__code__.co_filename, function
        return ast.Module([], [])


def _is_unsafe_call(node: ast.AST) -> bool:
    if isinstance(node, ast.Dict):
        return any(isinstance(key, ast.Constant) and key.value == "type" and _is_open(value)
                   for key, value in zip(node.keys, node.values))
    if isinstance(node, ast.Assign):
        return _is_open(node.value) and any(
            isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant)
            and target.slice.value == "type" for target in node.targets)
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if isinstance(node.func, ast.Attribute):
        owner = getattr(node.func.value, "id", None)
        if owner in _REACHING_MODULES or name in _REACHING - _BUILTIN_ONLY:
            return True
    elif name in _REACHING:
        return True
    if name == "getattr" and len(node.args) > 1:
        return _is_open(node.args[1]) and getattr(node.args[0], "id", None) != "self"
    return name == "dict" and any(k.arg == "type" and _is_open(k.value) for k in node.keywords)


def _is_open(value: ast.expr) -> bool:
    return not isinstance(value, ast.Constant)
