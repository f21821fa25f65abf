"""Find the keyword arguments of a class or function, including those passed on by ``**kwargs``."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Signature:
    """Keyword arguments of a callable.

    Args:
        names: every argument that can be passed by name.
        required: the arguments without a default.
        closed: False if ``**kwargs`` are used in a way that cannot be analyzed, so that other
            names may be valid.
    """

    names: frozenset[str]
    required: frozenset[str] = field(default_factory=frozenset)
    closed: bool = True


OPEN = Signature(frozenset(), closed=False)


@functools.lru_cache(maxsize=None)
def get_signature(target: Callable[..., Any]) -> Signature:
    """Return the keyword arguments of ``target``; `OPEN` if they cannot be determined."""
    if not inspect.isclass(target):
        return _function_signature(target)
    if target.__new__ is not object.__new__ and "__init__" not in _defined_names(target):
        return OPEN
    return _init_signature(target, [base for base in target.__mro__ if "__init__" in vars(base)])


def _defined_names(target: type) -> set[str]:
    return {name for base in target.__mro__ if base is not object for name in vars(base)}


def _function_signature(target: Callable[..., Any]) -> Signature:
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return OPEN
    names, required, kwargs = _split_parameters(parameters)
    return Signature(names, required, kwargs is None)


def _split_parameters(
    parameters: list[inspect.Parameter],
) -> tuple[frozenset[str], frozenset[str], str | None]:
    keyword_params = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = frozenset(p.name for p in keyword_params)
    required = frozenset(p.name for p in keyword_params if p.default is p.empty)
    kwargs = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    return names, required, kwargs


def _init_signature(target: type, inits: list[type]) -> Signature:
    """Arguments of the first ``__init__`` in ``inits``, classes in method resolution order."""
    owner, rest = inits[0], inits[1:]
    if owner is object:
        return Signature(frozenset())
    init = vars(owner)["__init__"]
    try:
        parameters = list(inspect.signature(init).parameters.values())[1:]
    except (TypeError, ValueError):
        return OPEN
    names, required, kwargs = _split_parameters(parameters)
    if kwargs is None:
        return Signature(names, required)
    use = _analyze_kwargs(init, kwargs)
    if use is None:
        return Signature(names, required, closed=False)
    if not use.forwarded or not rest:
        # The **kwargs are ignored, so other arguments would have no effect.
        return Signature(names | use.popped, required)
    if use.base is not None:
        order = [base.__name__ for base in target.__mro__]
        if use.base not in order:
            return Signature(names, required, closed=False)
        start = order.index(use.base) + (1 if use.after else 0)
        rest = [base for base in target.__mro__[start:] if "__init__" in vars(base)]
    base = _init_signature(target, rest)
    # Keywords in the call of the base cannot be passed a second time through **kwargs, and need
    # not be; the names of its positional arguments are unknown here.
    return Signature(
        names | (base.names - use.explicit) | use.popped,
        required,
        base.closed,
    )


@dataclass(frozen=True)
class _KwargsUse:
    """Whether and where an ``__init__`` passes its ``**kwargs`` on.

    Args:
        forwarded: False if they are ignored.
        base: name of the base class called; None for the next in method resolution order.
        after: the class after ``base`` is called instead, as by ``super(Base, self)``.
        explicit: keywords that the call passes besides them.
        popped: arguments removed from them before the call.
    """

    forwarded: bool
    base: str | None
    after: bool
    explicit: frozenset[str]
    popped: frozenset[str]


def _analyze_kwargs(init: Callable[..., Any], kwargs: str) -> _KwargsUse | None:
    """Analyze the uses of ``**kwargs``; None unless every use is understood."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(init))))
    except (OSError, TypeError, SyntaxError):
        return None
    base: str | None = None
    after = False
    explicit: set[str] = set()
    popped: set[str] = set()
    understood = forwarded = 0
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        unpacked = [k for k in node.keywords if k.arg is None and _is_name(k.value, kwargs)]
        if unpacked:
            called = _init_call_base(node.func)
            if called is None:
                return None
            base, after = called
            explicit |= {k.arg for k in node.keywords if k.arg is not None}
            understood += 1
            forwarded += 1
        elif _is_literal_pop(node, kwargs):
            popped.add(str(node.args[0].value))  # type: ignore[attr-defined]
            understood += 1
    uses = sum(_is_name(node, kwargs) for node in ast.walk(tree))
    if forwarded > 1 or uses != understood:
        return None
    return _KwargsUse(forwarded == 1, base, after, frozenset(explicit), frozenset(popped))


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_literal_pop(node: ast.Call, kwargs: str) -> bool:
    func = node.func
    return (
        isinstance(func, ast.Attribute)
        and func.attr in ("pop", "get", "setdefault")
        and _is_name(func.value, kwargs)
        and len(node.args) > 0
        and isinstance(node.args[0], ast.Constant)
    )


def _init_call_base(func: ast.expr) -> tuple[str | None, bool] | None:
    """The base and after of `_KwargsUse` for a call of ``__init__``; None for other calls."""
    if not isinstance(func, ast.Attribute) or func.attr != "__init__":
        return None
    owner = func.value
    if isinstance(owner, ast.Call) and _is_name(owner.func, "super"):
        first = owner.args[0] if owner.args else None
        return (first.id, True) if isinstance(first, ast.Name) else (None, False)
    if isinstance(owner, ast.Name):
        return owner.id, False
    return None
